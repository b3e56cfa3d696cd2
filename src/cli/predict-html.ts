/**
 * `holdfast predict --html FILE`: the whole report as one page without anything to load, light and dark, every text escaped. Pure.
 * Called by predict.ts.
 */
import type { DescribedHop } from "../doctor/hop-settings.ts";
import { describeRemedy, type PredictionReport } from "./predict-report.ts";
import { escapeXml, predictionSvg } from "./predict-svg.ts";

const STYLE = `
  :root { color-scheme: light dark; }
  body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }
  h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
  table { border-collapse: collapse; margin: .3rem 0 1rem; } td { padding: .1rem 1rem .1rem 0; vertical-align: top; }
  td:last-child, .source { opacity: .65; } code { font-family: ui-monospace, monospace; }
  .good { color: #217a3c; } .bad { color: #c22f2f; } @media (prefers-color-scheme: dark) { .good { color: #5fce84; } .bad { color: #ff7b72; } }
  .diagram { overflow-x: auto; } .mark { border: 1px solid; border-radius: .3rem; font-size: .75rem; padding: 0 .3rem; }
`;

export function reportHtml(report: PredictionReport): string {
  const { described, predictions, isHealthy } = report;
  const title = described.path.hops.map(({ name }) => name).join(" → ");
  const sections = [
    `<h1>${escapeXml(title)}</h1>`,
    `<p class="${isHealthy ? "good" : "bad"}">${isHealthy ? "Every scenario ends well." : "Not every scenario ends well."}</p>`,
    "<h2>Smallest change</h2>",
    adviceHtml(report),
    ...contradictionsHtml(report),
    "<h2>What happens</h2>",
    ...predictions.map(
      (prediction) =>
        `<h3>${escapeXml(prediction.title)}</h3>\n<div class="diagram">${predictionSvg(prediction, described.path.hops)}</div>`,
    ),
    "<h2>Path</h2>",
    ...described.hops.map(hopHtml),
  ];
  return `<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width">\n<title>${escapeXml(title)}</title>\n<style>${STYLE}</style>\n</head>\n<body>\n${sections.join("\n")}\n</body>\n</html>\n`;
}

function hopHtml({ hop, settings, notes }: DescribedHop, index: number): string {
  const { source } = hop;
  const linked =
    source.url === undefined
      ? escapeXml(source.text)
      : `<a href="${escapeXml(source.url)}">${escapeXml(source.text)}</a>`;
  const mark = source.isUnverified === true ? ' <span class="mark">unverified</span>' : "";
  const rows = Object.values(settings).map(
    ({ label, text, source: from }) =>
      `<tr><td><code>${escapeXml(label)}</code></td><td><code>${escapeXml(text)}</code></td><td>${escapeXml(from.text)}</td></tr>`,
  );
  const remarks = notes.map((note) => `<p>${escapeXml(note)}</p>`).join("");
  return `<h3>${index + 1}. ${escapeXml(hop.name)}${mark}</h3>\n<p class="source">${linked}</p>\n<table>${rows.join("")}</table>${remarks}`;
}

function contradictionsHtml({ contradictions }: PredictionReport): string[] {
  if (contradictions.length === 0) return [];
  const items = contradictions.map(
    ({ severity, text, fix }) =>
      `<li class="${severity === "error" ? "bad" : ""}">${escapeXml(text)}<br>${escapeXml(fix)}</li>`,
  );
  return ["<h2>Contradictions</h2>", `<ul>${items.join("\n")}</ul>`];
}

function adviceHtml({ advice, described }: PredictionReport): string {
  const items = advice.plan.map((remedy) => {
    const directive =
      remedy.directive === undefined
        ? ""
        : `<br><code>${escapeXml(remedy.directive).replaceAll("\n", "<br>")}</code>`;
    return `<li>${escapeXml(describeRemedy(remedy, described))}${directive}<br>${escapeXml(remedy.cost)}</li>`;
  });
  return `<p>${escapeXml(advice.text)}</p>${items.length === 0 ? "" : `\n<ul>${items.join("\n")}</ul>`}`;
}
