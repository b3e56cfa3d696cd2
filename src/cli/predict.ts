/**
 * `holdfast predict`: what becomes of quiet connections on a path of boxes and programs, and the smallest change that mends it.
 * Exit status 0: every scenario ends well; 1: one does not, or settings contradict each other; 2: the path cannot be understood.
 * Driver: reads and writes files; everything else is in src/doctor/ and predict-*.ts. Called by program.ts.
 */
import { existsSync, writeFileSync } from "node:fs";
import { Command, InvalidArgumentError } from "commander";
import { type Diagnostic, formatDiagnostic } from "../config/diagnostics.ts";
import { parseDurationMs } from "../config/duration.ts";
import { readHostFacts } from "../config/host-facts.ts";
import type { Scenario } from "../doctor/fate.ts";
import { parsePathFile } from "../doctor/path-file.ts";
import { pathFileJsonSchema } from "../doctor/path-file-schema.ts";
import type { RequestResult } from "../doctor/path-request.ts";
import { resolvePath } from "../doctor/path-resolution.ts";
import { parsePathWords } from "../doctor/path-words.ts";
import type { ConfigFiles } from "../doctor/readers/reading.ts";
import { parseScenarioWord, SCENARIO_KINDS } from "../doctor/scenario-words.ts";
import { EXIT_BAD_NEWS, EXIT_GOOD, EXIT_WRONG_QUESTION } from "./exit-status.ts";
import { diskFiles } from "./predict-files.ts";
import { reportHtml } from "./predict-html.ts";
import { catalogueJson, catalogueText } from "./predict-list.ts";
import { makeReport, reportJson } from "./predict-report.ts";
import { reportSvg } from "./predict-svg.ts";
import { reportText } from "./predict-text.ts";

interface PredictOptions {
  readonly responseTime?: number;
  readonly scenario?: readonly Scenario[];
  readonly list?: boolean;
  readonly json?: boolean;
  readonly schema?: boolean;
  readonly svg?: string;
  readonly html?: string;
  readonly verbose?: boolean;
}

export function predictCommand(): Command {
  return new Command("predict")
    .description(
      "what becomes of quiet connections on a path, who is told, and the smallest change that mends it",
    )
    .argument(
      "[path...]",
      "PATH.yaml, or the hops from client to server: names, NAME=TIMEOUT, configuration files",
    )
    .option("--response-time <duration>", "how long the server takes to answer (default: 2m)", readDuration)
    .option(
      "--scenario <scenario>",
      `play only this; may be repeated: ${SCENARIO_KINDS.join(", ")}; slow-response=5m, idle=10m,server`,
      addScenario,
    )
    .option("--list", "print the boxes and programs that are known by name")
    .option("--json", "print the answer as JSON")
    .option("--svg <file>", "write the sequence diagrams as SVG")
    .option("--html <file>", "write everything as one HTML page")
    .option("--schema", "print the JSON Schema of PATH.yaml for editors")
    .option("-v, --verbose", "draw the scenarios that end well, too")
    .addHelpText("after", HELP)
    .action(runPredict);
}

const HELP = `
Words of a path:
  aws-nlb               a box or program of the catalogue (--list)
  f5=300s               the same with another idle time-out; client=60s:10s:6 with so_keepalive
  azure-lb=4m,tcp_reset=on                         more settings
  nginx.conf:80  haproxy.cfg:web  keepalived.conf:10.0.0.1:443  gateway.yaml:web
                        what a configuration file says; nginx:FILE and so on when its name does not tell
  sysctl:FILE           connection tracking of a host, from the output of sysctl -a; first or last: that end's kernel
  ipvs:FILE             LVS, from the output of ipvsadm -l --timeout
  postgres@FILE         a program with the kernel defaults of that sysctl output

Exit status: 0 every scenario ends well, 1 one does not or settings contradict each other,
2 the path cannot be understood.

Examples:
  holdfast predict client lvs=90s nginx.conf:80 node-http
  holdfast predict libpq aws-nlb postgres --response-time 10m
  holdfast predict path.yaml --html path.html`;

interface Output {
  readonly writeOut: (text: string) => void;
  readonly writeErr: (text: string) => void;
}

function runPredict(words: readonly string[], options: PredictOptions, command: Command): void {
  const {
    writeOut = (text: string) => void process.stdout.write(text),
    writeErr = (text: string) => void process.stderr.write(text),
  } = command.configureOutput();
  if (options.schema === true) {
    writeOut(`${JSON.stringify(pathFileJsonSchema(), null, 2)}\n`);
  } else if (options.list === true) {
    writeOut(options.json === true ? catalogueJson() : catalogueText());
  } else if (words.length === 0) {
    const message = "error: no path named; example: holdfast predict client aws-nlb node-http";
    command.error(message, { exitCode: EXIT_WRONG_QUESTION });
  } else {
    process.exitCode = predict(words, options, { writeOut, writeErr });
  }
}

/** Prints the answer, or all that is wrong with the question; the result is the exit status. */
function predict(words: readonly string[], options: PredictOptions, output: Output): number {
  const refuse = (diagnostics: readonly Diagnostic[]): number => {
    if (options.json === true) output.writeOut(`${JSON.stringify({ ok: false, diagnostics }, null, 2)}\n`);
    else output.writeErr(diagnostics.map((diagnostic) => `${formatDiagnostic(diagnostic)}\n`).join(""));
    return EXIT_WRONG_QUESTION;
  };
  const files = diskFiles();
  const asked = readRequest(words, files);
  if (!asked.ok) return refuse(asked.diagnostics);
  const resolved = resolvePath(asked.request, { files, host: readHostFacts() });
  if (!resolved.ok) return refuse(resolved.diagnostics);
  const scenarios = options.scenario ?? asked.request.scenarios;
  const report = makeReport(resolved.described, scenarios, options.responseTime);
  const unwritten = [
    options.svg === undefined ? undefined : writeTo(options.svg, () => reportSvg(report)),
    options.html === undefined ? undefined : writeTo(options.html, () => reportHtml(report)),
  ].filter((problem) => problem !== undefined);
  for (const warning of resolved.described.warnings) output.writeErr(`${formatDiagnostic(warning)}\n`);
  const isColoured = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;
  const isVerbose = options.verbose === true;
  output.writeOut(options.json === true ? reportJson(report) : reportText(report, { isColoured, isVerbose }));
  for (const problem of unwritten) output.writeErr(`${formatDiagnostic(problem)}\n`);
  if (unwritten.length > 0) return EXIT_WRONG_QUESTION;
  return report.isHealthy ? EXIT_GOOD : EXIT_BAD_NEWS;
}

/** One word that is a YAML file is PATH.yaml; everything else are hops. */
function readRequest(words: readonly string[], files: ConfigFiles): RequestResult {
  const [only = ""] = words;
  if (words.length > 1 || !/\.ya?ml$/i.test(only)) {
    const isForgottenFile = words.length === 1 && existsSync(only);
    return isForgottenFile ? parsePathFile(textOf(only, files) ?? "", only) : parsePathWords(words);
  }
  const text = files.read(only);
  if (text.ok) return parsePathFile(text.text, only);
  const hint = "write a file with path: [ client, aws-nlb, node-http ], or name the hops";
  return { ok: false, diagnostics: [fileProblem(only, text.reason, hint)] };
}

function textOf(file: string, files: ConfigFiles): string | undefined {
  const text = files.read(file);
  return text.ok ? text.text : undefined;
}

function writeTo(file: string, render: () => string): Diagnostic | undefined {
  try {
    writeFileSync(file, render());
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    return fileProblem(
      file,
      `cannot be written (${code})`,
      "name a file in a directory that you may write to",
    );
  }
}

function fileProblem(file: string, message: string, hint: string): Diagnostic {
  return { severity: "error", file, line: 0, column: 0, path: "", message, hint };
}

function readDuration(text: string): number {
  const result = parseDurationMs(text, { minMs: 1, maxMs: 365 * 86_400_000 });
  if (!result.ok) throw new InvalidArgumentError([result.reason, result.hint].filter(Boolean).join("; "));
  return result.value;
}

function addScenario(word: string, before: readonly Scenario[] = []): readonly Scenario[] {
  const result = parseScenarioWord(word);
  if (!result.ok) throw new InvalidArgumentError([result.reason, result.hint].filter(Boolean).join("; "));
  return [...before, result.value];
}
