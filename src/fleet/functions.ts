/** The functions of the registry's schema, by name, and its notifications: the seam between what is asked and how it gets there. */
export interface Functions {
  /** Calls a function. Its values must fit into JSON. Throws OrchesjobError: `locked` if the registry cannot be reached. */
  call(name: string, values: readonly unknown[]): Promise<any>;
  /** Calls back when there is news about a member or a job, and after each reconnection. False if nothing comes through. */
  listen(name: string, callback: () => void): Promise<boolean>;
  close(): Promise<void>;
}
