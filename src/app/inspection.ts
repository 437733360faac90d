/** What only `doctor` and `metrics` need of the store. entrypoints/all.ts alone imports it: the other bundles do without. */
export const inspection = {
  examine: () => import("../store/sqlite/examine.ts"),
  statistics: () => import("../store/sqlite/statistics.ts"),
};

export type Inspection = typeof inspection;
