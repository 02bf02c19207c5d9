const { compare } = new Intl.Collator("en", { numeric: true });

/** Orders devices' names as people do, 2 before 10. Names that mean the same number ("1", "01") have an order too. */
export function compareNames(a: string, b: string): number {
  return compare(a, b) || (a < b ? -1 : Number(a > b));
}
