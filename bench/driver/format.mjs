/** Figures as text, and tables in Markdown. */

/**
 * A figure with as many places as mean something.
 *
 * @param {number | undefined} value
 */
export function figure(value) {
  if (value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  const places = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  const text = value.toLocaleString("en", {
    minimumFractionDigits: places,
    maximumFractionDigits: places,
  });
  return text.replace("-", "−");
}

/**
 * With its sign.
 *
 * @param {number | undefined} value
 */
export function difference(value) {
  return value !== undefined && value > 0 ? `+${figure(value)}` : figure(value);
}

/**
 * Its columns as wide as what is in them, as `deno fmt` has it. The first is aligned to the left.
 *
 * @param {readonly string[]} head
 * @param {readonly (readonly string[])[]} rows
 */
export function table(head, rows) {
  const widths = head.map((_, column) =>
    Math.max(3, ...[head, ...rows].map((row) => [...row[column] ?? ""].length))
  );
  const line = (/** @type {readonly string[]} */ cells) => {
    const padded = widths.map((width, column) => {
      const cell = cells[column] ?? "";
      const space = " ".repeat(width - [...cell].length);
      return column === 0 ? cell + space : space + cell;
    });
    return `| ${padded.join(" | ")} |`;
  };
  const rule = widths.map((width, column) =>
    column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`
  );
  return [line(head), `| ${rule.join(" | ")} |`, ...rows.map(line)].join("\n");
}
