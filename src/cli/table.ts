/** Aligned text tables. Pure: strings in, lines out; colour is the caller's wish. Called by the human renderers. */

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
}

const BOLD = "\u001b[1m";
const RESET = "\u001b[0m";
const GAP = "  ";

export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  isColoured = false,
): string[] {
  const widths = columns.map((column, index) =>
    // Not Math.max(...lengths): a table of all sockets has more rows than a call may have arguments.
    rows.reduce((width, row) => Math.max(width, (row[index] ?? "").length), column.title.length),
  );
  const formatRow = (cells: readonly string[]) =>
    columns
      .map(({ align }, index) => {
        const cell = cells[index] ?? "";
        return align === "right" ? cell.padStart(widths[index]!) : cell.padEnd(widths[index]!);
      })
      .join(GAP)
      .trimEnd();
  const head = formatRow(columns.map((column) => column.title));
  return [isColoured ? `${BOLD}${head}${RESET}` : head, ...rows.map(formatRow)];
}
