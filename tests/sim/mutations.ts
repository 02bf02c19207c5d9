/** Known bugs, to prove that the checker finds them: each is an edit of the real source. */

/** Where a bug is made: the text must stand once in the file. */
export interface Edit {
  file: string;
  find: string;
  replace: string;
}

export interface Mutation {
  name: string;
  edits: readonly Edit[];
}

export const MUTATIONS: readonly Mutation[] = [];
