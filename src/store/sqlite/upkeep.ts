/** The verbs of the store, on SQLite, that delete what is over and keep its files small. */
import { PYTHON_COPY_SUFFIX } from "./legacy/python-upgrade.ts";
import { dropObsoleteTriggers } from "./public-views.ts";
import { IS_TRACKING, KEEP_UNPUBLISHED, textOf } from "./queries.ts";
import { JobReader } from "./reader.ts";

/** A smaller write-ahead log, in bytes, is read in no time by the next process that opens the database. */
const SMALL_WAL_BYTES = 400_000;

/** Pages that `vacuum` moves at a time: a few ms. */
const SHRINK_PAGES = 1_000;

/** Deleting jobs touches pages all over the index of run keys; SQLite's default cache (2 MB) would read them repeatedly. */
const REMOVE_CACHE_KIB = 32_000;

export abstract class JobUpkeep extends JobReader {
  async remove(jobIds: readonly string[]): Promise<number> {
    this.attempt(() => this.database.run(`pragma cache_size = -${REMOVE_CACHE_KIB}`));
    return this.unsynced(() =>
      this.attempt(() => {
        const isTracking = this.database.query(IS_TRACKING).get() !== null;
        const statement = isTracking ? `${textOf("remove")} ${KEEP_UNPUBLISHED}` : textOf("remove");
        return this.database.query(statement).run({ jobIds: JSON.stringify(jobIds) }).changes;
      }),
    );
  }

  async forgetRequests(): Promise<void> {
    this.attempt(() => this.execute("dropRequests", {}));
  }

  async discardOldCopy(): Promise<void> {
    const copy = Bun.file(this.path + PYTHON_COPY_SUFFIX);
    if (await copy.exists()) await copy.delete();
  }

  async vacuum(): Promise<void> {
    const pages = () =>
      this.database.query<{ freelist_count: number }, []>("pragma freelist_count").get()!.freelist_count;
    this.attempt(() => {
      // In steps, so that other processes get in between. It ends if a database cannot shrink (one made by the Python
      // orchesjob).
      for (let free = pages(), before = free + 1; free > 0 && free < before; before = free, free = pages()) {
        this.database.query(`pragma incremental_vacuum(${SHRINK_PAGES})`).all();
      }
      this.database.run("pragma wal_checkpoint(truncate)");
    });
  }

  async checkpoint(): Promise<void> {
    this.attempt(() => dropObsoleteTriggers(this.database));
    if (Bun.file(`${this.path}-wal`).size < SMALL_WAL_BYTES) return;
    this.attempt(() => this.database.run("pragma wal_checkpoint(truncate)"));
  }

  disconnect(): void {
    this.close();
  }
}
