import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parseCommandLine } from "./command-line.ts";
import { loadDownwardApi, parseLabels } from "./downward-api.ts";
import { readEnvironment } from "./environment.ts";

test("the command line has the contract's defaults", () => {
  const serve = {
    action: "serve",
    configPath: "concierge.yaml",
    downwardApiPath: "/etc/podinfo",
    standaloneManifestsFolder: undefined,
    kubeconfigPath: undefined,
  };
  assert.deepEqual(parseCommandLine([]), serve);
  assert.deepEqual(parseCommandLine(["-c", "x", "--downward-api-path=y", "--kubeconfig", "z"]), {
    ...serve,
    configPath: "x",
    downwardApiPath: "y",
    kubeconfigPath: "z",
  });
  assert.deepEqual(parseCommandLine(["--config=x", "--standalone", "m"]), {
    ...serve,
    configPath: "x",
    standaloneManifestsFolder: "m",
  });
  assert.deepEqual(parseCommandLine(["--version"]), { action: "version" });
  assert.deepEqual(parseCommandLine(["-h", "extra"]), { action: "help" });
});

for (const args of [
  ["extra"],
  ["--unknown"],
  ["--config"],
  ["--config="],
  ["--version=1"],
  ["--standalone", "a", "--kubeconfig", "b"],
]) {
  test(`misuse is one line: ${args.join(" ")}`, () => {
    assert.throws(
      () => parseCommandLine(args),
      (error: Error & { code: string }) => {
        assert.equal(error.code, "commandLine.misuse");
        assert.match(error.message, /^[^\n]+ \(see lanyard-concierge --help\)$/);
        return true;
      },
    );
  });
}

test("environment: upper case wins, empty is absent", () => {
  assert.deepEqual(readEnvironment({}), {
    httpsProxy: undefined,
    noProxy: "",
    kubernetesService: undefined,
    forbidden: [],
  });
  assert.deepEqual(
    readEnvironment({
      HTTPS_PROXY: "",
      https_proxy: "http://lower",
      NO_PROXY: "a",
      no_proxy: "b",
      KUBERNETES_SERVICE_HOST: "10.0.0.1",
      KUBERNETES_SERVICE_PORT: "443",
      NODE_OPTIONS: "--inspect",
      NODE_TLS_REJECT_UNAUTHORIZED: "0",
      NODE_EXTRA_CA_CERTS: "",
    }),
    {
      httpsProxy: "http://lower",
      noProxy: "a",
      kubernetesService: { host: "10.0.0.1", port: "443" },
      forbidden: ["NODE_OPTIONS", "NODE_TLS_REJECT_UNAUTHORIZED"],
    },
  );
});

test("labels are unquoted as Go does it", () => {
  assert.deepEqual(
    parseLabels('app="a"\nempty=""\nx/y="q\\"b\\\\s\\n\\t=\\u00e9\\U0001F600\\xc3\\xa9\\303\\251中"\n'),
    {
      app: "a",
      empty: "",
      "x/y": 'q"b\\s\n\t=é😀éé中',
    },
  );
  for (const line of [
    "app",
    "app=a",
    'app="',
    'app="\\q"',
    'app="a"b"',
    'app="\\777"',
    'app="\\ud800"',
    'app="\\"',
  ]) {
    assert.throws(() => parseLabels(line), /line 1 is not of the form key="value"/, line);
  }
});

test("the downward API needs a namespace only", (context) => {
  const folder = mkdtempSync(join(tmpdir(), "podinfo-"));
  context.after(() => rmSync(folder, { recursive: true }));
  assert.throws(() => loadDownwardApi(folder), /could not read pod metadata: could not load namespace: /);
  writeFileSync(join(folder, "namespace"), "ns\n");
  assert.deepEqual(loadDownwardApi(folder), { namespace: "ns", podName: undefined, podLabels: {} });
  writeFileSync(join(folder, "name"), "pod-1");
  writeFileSync(join(folder, "labels"), 'a="b"');
  assert.deepEqual(loadDownwardApi(folder), { namespace: "ns", podName: "pod-1", podLabels: { a: "b" } });
  writeFileSync(join(folder, "labels"), "broken");
  assert.throws(() => loadDownwardApi(folder), /could not read pod metadata: could not load labels: line 1/);
});
