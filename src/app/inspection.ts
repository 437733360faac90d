/** What only some commands need of the store: `doctor`, `metrics` and those that show figures. entrypoints/all.ts alone imports it: the other bundles do without. */
export const inspection = {
  examine: () => import("../store/sqlite/examine.ts"),
  statistics: () => import("../store/sqlite/statistics.ts"),
  readOnly: () => import("../store/sqlite/read-only.ts"),
  figures: () => import("../store/sqlite/figures.ts"),
};

export type Inspection = typeof inspection;
