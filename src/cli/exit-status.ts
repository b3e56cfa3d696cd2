/** Exit statuses of every command: 0 good, 1 the answer is bad news, 2 the question was wrong. */
export const EXIT_GOOD = 0;
export const EXIT_BAD_NEWS = 1;
export const EXIT_WRONG_QUESTION = 2;

/** Prints lines for humans on stderr and sets the exit status; the process ends by itself. */
export function fail(status: number, lines: readonly string[]): void {
  process.stderr.write(`${lines.join("\n")}\n`);
  process.exitCode = status;
}
