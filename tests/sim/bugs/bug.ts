/** A known bug: an edit of the real source, to prove that the checker finds it. */

/** Where a bug is inserted: the text must occur once in the file. */
export interface Edit {
  file: string;
  find: string;
  replace: string;
}

/** Bugs by their names. */
export type Bugs = Readonly<Record<string, readonly Edit[]>>;

/** A bug with a single edit. */
export function edit(file: string, find: string, replace: string): [Edit] {
  return [{ file, find, replace }];
}
