/** A plot as SVG: a point for each contestant, on a line from its least to its most. */

/**
 * @typedef {import("./figures.mjs").Line} Line
 * @typedef {import("./workloads.mjs").Workload} Workload
 */

import { figure } from "./format.mjs";

const WIDTH = 760;
const LEFT = 250;
const RIGHT = 80;
const TOP = 62;
const ROW = 22;
const BOTTOM = 34;

/** From this factor between the least and the most on, an axis is logarithmic. */
const LOGARITHMIC_FROM = 6;

const STYLE = `
    text { font: 13px system-ui, sans-serif; fill: #24292f; }
    .title { font-size: 16px; font-weight: 600; }
    .note, .tick { font-size: 11px; fill: #6e7781; }
    .ours { font-weight: 600; fill: #b5400a; }
    .grid { stroke: #d0d7de; stroke-width: 1; }
    .range { stroke-width: 3; stroke-linecap: round; opacity: 0.35; }
    .mark-ours { fill: #d9540b; stroke: #d9540b; }
    .mark-own { fill: #0969da; stroke: #0969da; }
    .mark-peer { fill: #57606a; stroke: #57606a; }
    .mark-bound, .mark-reference { fill: #8c959f; stroke: #8c959f; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; }
      .note, .tick { fill: #8b949e; }
      .ours { fill: #ff8a4c; }
      .grid { stroke: #30363d; }
      .mark-ours { fill: #ff8a4c; stroke: #ff8a4c; }
      .mark-own { fill: #58a6ff; stroke: #58a6ff; }
      .mark-peer { fill: #b1bac4; stroke: #b1bac4; }
    }`;

/** What the three points of a line are, below the title. */
const NOTES = {
  each: "median of the rounds, from the least to the most; less is better",
  held: "median of the rounds, from the least to the most; less is better",
  stream: "median of the rounds, from the least to the most; more is better",
  startup: "median of the rounds, from the least to the most; less is better",
  lateness: "99th percentile, from the median to the greatest; less is better",
  memory: "growth after the warm-up; less is better",
};

/**
 * @param {Workload} workload
 * @param {readonly Line[]} all
 * @returns {string}
 */
export function plot(workload, all) {
  const lines = all.filter(({ error }) => error === undefined);
  const axis = axisOf(lines.flatMap(({ low, middle, high }) => [low, middle, high]));
  const height = TOP + lines.length * ROW + BOTTOM;
  const bottom = height - BOTTOM;
  const grid = axis.ticks.map((tick) => {
    const x = axis.place(tick);
    return `<line class="grid" x1="${x}" y1="${TOP - 6}" x2="${x}" y2="${bottom}"/>
  <text class="tick" x="${x}" y="${bottom + 16}" text-anchor="middle">${
      escape(short(tick))
    }</text>`;
  });
  const title = escape(workload.title);
  const note = escape(`${workload.unit}, ${NOTES[workload.kind]}`);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img">
  <title>${title}</title>
  <style>${STYLE}
  </style>
  <text class="title" x="12" y="24">${title}</text>
  <text class="note" x="12" y="42">${note}</text>
  ${[...grid, ...lines.map((line, index) => row(line, index, axis))].join("\n  ")}
</svg>
`;
}

/**
 * @param {Line} line
 * @param {number} index
 * @param {Axis} axis
 */
function row({ label, kind, low, middle, high }, index, axis) {
  const y = TOP + index * ROW + ROW / 2;
  const names = kind === "ours" ? ' class="ours"' : "";
  const [x1, x, x2] = [low, middle, high].map(axis.place);
  return `<text${names} x="${LEFT - 14}" y="${y + 4}" text-anchor="end">${escape(label)}</text>
  <line class="range mark-${kind}" x1="${x1}" y1="${y}" x2="${x2}" y2="${y}"/>
  <circle class="mark-${kind}" cx="${x}" cy="${y}" r="4.5"/>
  <text${names} x="${WIDTH - 12}" y="${y + 4}" text-anchor="end">${escape(figure(middle))}</text>`;
}

/**
 * @typedef {{ ticks: number[], place: (value: number) => number }} Axis
 */

/**
 * @param {number[]} values
 * @returns {Axis}
 */
function axisOf(values) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  return low > 0 && high / low > LOGARITHMIC_FROM ? logarithmic(low, high) : linear(low, high);
}

/**
 * @param {number} low
 * @param {number} high
 * @returns {Axis}
 */
function logarithmic(low, high) {
  const decades = Math.log10(high / low);
  const steps = decades > 2.5 ? [1] : decades > 1.2 ? [1, 3] : [1, 2, 5];
  const from = Math.log10(low) - 0.03 * decades;
  const to = Math.log10(high) + 0.03 * decades;
  const ticks = [];
  for (let power = Math.floor(from); power <= Math.ceil(to); power++) {
    for (const step of steps) ticks.push(step * 10 ** power);
  }
  return axis(from, to, ticks, Math.log10);
}

/**
 * From zero, so that lengths can be compared.
 *
 * @param {number} low
 * @param {number} high
 * @returns {Axis}
 */
function linear(low, high) {
  const from = Math.min(0, low);
  const to = high > from ? high : from + 1;
  const rough = (to - from) / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const ticks = [];
  for (let tick = Math.ceil(from / step); tick * step <= to; tick++) ticks.push(tick * step);
  return axis(from, to + 0.03 * (to - from), ticks, (value) => value);
}

/**
 * @param {number} from
 * @param {number} to
 * @param {number[]} ticks
 * @param {(value: number) => number} scale
 * @returns {Axis}
 */
function axis(from, to, ticks, scale) {
  const place = (/** @type {number} */ value) => {
    const share = (scale(value) - from) / (to - from);
    return Math.round((LEFT + share * (WIDTH - LEFT - RIGHT)) * 10) / 10;
  };
  return { ticks: ticks.filter((tick) => scale(tick) >= from && scale(tick) <= to), place };
}

/** @param {number} value */
function short(value) {
  return Number(value.toPrecision(3)).toLocaleString("en");
}

/** @param {string} text */
function escape(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
