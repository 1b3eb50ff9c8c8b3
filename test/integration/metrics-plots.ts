import type { Series } from "./metrics-prometheus-server.ts";

export interface Plot {
  readonly title: string;
  readonly series: readonly Series[];
}

const WIDTH = 420;
const HEIGHT = 220;
const COLUMNS = 3;
const LEGEND_LINES = 4;
const COLORS = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f"];

/** One SVG with a small chart per plot: what a dashboard would show. */
export function plotSvg(plots: readonly Plot[]): string {
  const rows = Math.ceil(plots.length / COLUMNS);
  const cells = plots.map((plot, index) => {
    const x = (index % COLUMNS) * WIDTH;
    const y = Math.floor(index / COLUMNS) * HEIGHT;
    return `<g transform="translate(${x},${y})">${plotCell(plot)}</g>`;
  });
  const size = `width="${COLUMNS * WIDTH}" height="${rows * HEIGHT}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="sans-serif" font-size="10"><rect ${size} fill="white"/>${cells.join("")}</svg>\n`;
}

function plotCell({ title, series }: Plot): string {
  const points = series.map(({ values }) =>
    values.map(([at, value]) => [at, Number(value)] as const).filter(([, value]) => Number.isFinite(value)),
  );
  const all = points.flat();
  const times = all.map(([at]) => at);
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const top = Math.max(...all.map(([, value]) => value), 0);
  const left = 50;
  const bottom = HEIGHT - 20 - LEGEND_LINES * 12;
  const xOf = (at: number): number => left + ((at - first) / (last - first || 1)) * (WIDTH - left - 20);
  const yOf = (value: number): number => bottom - (Math.max(value, 0) / (top || 1)) * (bottom - 30);
  const lines = points.map((each, index) => {
    const path = each.map(([at, value]) => `${xOf(at).toFixed(1)},${yOf(value).toFixed(1)}`).join(" ");
    return `<polyline points="${path}" fill="none" stroke="${COLORS[index % COLORS.length]}" stroke-width="1.5"/>`;
  });
  const legend = series.slice(0, LEGEND_LINES).map(({ metric }, index) => {
    const { __name__: _, ...labels } = metric;
    const text = Object.values(labels).join(" ").slice(0, 60) || "value";
    const y = bottom + 16 + index * 12;
    return `<text x="${left}" y="${y}" fill="${COLORS[index % COLORS.length]}">${escapeXml(text)}</text>`;
  });
  return [
    `<text x="10" y="16" font-weight="bold">${escapeXml(title)}</text>`,
    `<line x1="${left}" y1="${bottom}" x2="${WIDTH - 20}" y2="${bottom}" stroke="#999"/>`,
    `<text x="4" y="34">${escapeXml(top.toPrecision(3))}</text><text x="4" y="${bottom}">0</text>`,
    ...lines,
    ...legend,
  ].join("");
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
