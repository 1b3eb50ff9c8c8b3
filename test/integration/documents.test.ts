import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ensureHelm } from "../../hack/cluster/binaries.ts";
import { consoleBlocks, missingOutput, transcriptOf } from "../documents/console-block.ts";
import { isOurs, yamlDocuments } from "../documents/manifest.ts";
import { markdownFiles } from "../documents/markdown-files.ts";
import { fencedBlocks } from "../documents/markdown.ts";
import { kubectl } from "./harness/concierge.ts";
import { eventually } from "./harness/eventually.ts";
import { exchangeFailed } from "./harness/exchange.ts";
import { configureProxy, proxyCaPem } from "./harness/proxy.ts";
import { grant, type ProxyWorld, startProxyWorld } from "./harness/proxy-world.ts";

const root = join(import.meta.dirname, "..", "..");
const blocks = [...markdownFiles(root)].flatMap(([file, text]) => fencedBlocks(file, text));
const onCluster = consoleBlocks(blocks).filter(({ run }) => run?.where === "cluster");
// The page that installs a second time, and the one that cuts everybody off, come when all others are through.
const last = "docs/break-glass.md";
const late = ["docs/migrating-from-pinniped.md", last];
const pages = [...new Set(onCluster.map(({ file }) => file))].toSorted(
  (a, b) => late.indexOf(a) - late.indexOf(b),
);
const user = "alice@example.com";

describe("what the documents say, on a real control plane", () => {
  let world: ProxyWorld;
  let folder: string;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "lanyard-documents-"));
    mkdirSync(join(folder, "bin"));
    symlinkSync(await ensureHelm(() => {}), join(folder, "bin", "helm"));
    const lanyard = `#!/bin/sh\nexec '${process.execPath}' '${join(root, "src", "cli", "main.ts")}' "$@"\n`;
    writeFileSync(join(folder, "bin", "lanyard"), lanyard, { mode: 0o755 });
    world = await startProxyWorld({ name: "documents" });
    const everything = [{ apiGroups: [""], resources: ["configmaps"], verbs: ["get"] }];
    const proxyPort = world.proxy.replica.proxyPort;
    await configureProxy(world.installation, { externalEndpoint: `localhost:${proxyPort}` });
    await grant(world.cluster, "alice-reads", { kind: "User", name: user }, everything);
  });
  after(async () => {
    await world?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** As a reader would type it, in a folder that holds the page's own files and the checkout's charts and examples. */
  const type = async (page: string, script: string): Promise<string> => {
    const token = await world.idToken(user, ["developers"]);
    const prepared = [
      `cd '${join(folder, page)}'`,
      `export PATH='${join(folder, "bin")}':"$PATH" HOME='${folder}' TOKEN='${token}'`,
      script,
    ].join("\n");
    const command = ["bash", "-euo", "pipefail", "-c", prepared];
    const { code, stdout, stderr } = await world.cluster.exec(command);
    assert.equal(code, 0, `${stderr}${stdout}`);
    return stdout;
  };

  it("has every manifest accepted by a kube-apiserver, unknown fields refused", async () => {
    const manifests = blocks
      .filter(({ language }) => language === "yaml")
      .flatMap(({ file, line, content }) =>
        yamlDocuments(content)
          .filter((object) => isOurs(object))
          .map((object) => ({ where: `${file}:${line}`, object })),
      );
    assert.ok(manifests.length > 10);
    for (const { where, object } of manifests) {
      const { code, stderr } = await world.cluster.kubectl(
        ["apply", "--dry-run=server", "--validate=strict", "--filename=-"],
        { input: JSON.stringify(object) },
      );
      assert.equal(code, 0, `${where}: ${stderr}`);
    }
  });

  it("finds blocks to run", () => {
    assert.ok(pages.includes(last));
  });

  for (const page of pages) {
    it(`${page}: every block that needs a cluster runs and prints what it shows`, async () => {
      const own = join(folder, page);
      mkdirSync(own, { recursive: true });
      for (const name of ["charts", "examples", "docs"]) {
        symlinkSync(join(root, name), join(own, name));
      }
      const undo = await preparations[page]?.();
      try {
        await runBlocks(page);
        await consequences[page]?.();
      } finally {
        await undo?.();
        await removeOtherSuffixes();
      }
    });
  }

  const runBlocks = async (page: string): Promise<void> => {
    for (const { line, language, title, content } of blocks.filter(({ file }) => file === page)) {
      if (language === "yaml" && title !== "") {
        writeFileSync(join(folder, page, title), `${content}\n`);
      }
      if (!onCluster.some((block) => block.file === page && block.line === line)) {
        continue;
      }
      const { script, output } = transcriptOf(content);
      let printed = await type(page, script);
      // What is said to happen within seconds may be looked at again; what fails has failed.
      const deadline = Date.now() + 60_000;
      while (missingOutput(output, printed) !== undefined && Date.now() < deadline) {
        await new Promise((resolve) => setTimeout(resolve, 500));
        printed = await type(page, script);
      }
      assert.equal(missingOutput(output, printed), undefined, `${page}:${line} printed:\n${printed}`);
    }
  };

  /** Uninstalling leaves CRDs; those of another suffix would make the names of kinds ambiguous on the next page. */
  const removeOtherSuffixes = async (): Promise<void> => {
    const names = await kubectl(world.cluster, ["get", "customresourcedefinitions", "--output=name"]);
    const others = names.split("\n").filter((name) => /\.concierge\.(?!pinniped\.dev$)/.test(name));
    if (others.length > 0) {
      await kubectl(world.cluster, ["delete", ...others]);
      // kubectl remembers for minutes which kinds there are.
      rmSync(join(world.cluster.folder, "kubectl-cache"), { recursive: true, force: true });
    }
  };

  const apiService = ["service", "lanyard-concierge-api", "--namespace=concierge"];

  /** What a page takes for granted, and how that is undone. */
  const preparations: Readonly<Record<string, () => Promise<() => Promise<unknown>>>> = {
    "docs/install.md": async () => {
      // Here it leads out of the cluster, to another port; the chart's own cannot be merged with it.
      const { metadata, spec } = JSON.parse(
        await kubectl(world.cluster, ["get", ...apiService, "--output=json"]),
      ) as { readonly metadata: Readonly<Record<string, unknown>>; readonly spec: object };
      const { name, namespace, labels, annotations } = metadata;
      const service = {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name, namespace, labels, annotations },
        spec,
      };
      await kubectl(world.cluster, ["delete", ...apiService]);
      return () => kubectl(world.cluster, ["create", "--filename=-"], JSON.stringify(service));
    },
  };

  /** What a page says of the time after its commands. */
  const consequences: Readonly<Record<string, () => Promise<unknown>>> = {
    "docs/removing-a-user.md": async () => {
      await eventually("no exchange for who is on the deny list", async () => {
        const { text } = await world.postStraight(await world.idToken(user));
        return text === exchangeFailed;
      });
      await world.login("ben@example.com");
      await kubectl(world.cluster, [
        "delete",
        "--namespace=concierge",
        "configmap",
        "lanyard-concierge-deny-list",
      ]);
      await eventually("an exchange after the list was deleted", () => world.login(user));
    },
    "docs/secrets.md": async () => {
      const saved = readFileSync(join(folder, "docs/secrets.md", "proxy-ca.crt"), "utf8");
      assert.match(saved, /^-----BEGIN CERTIFICATE-----/);
      assert.match(readFileSync(join(folder, "docs/secrets.md", "proxy-ca.key"), "utf8"), /PRIVATE KEY-----/);
      // Lost, made anew, and put back: clients that know the old one are served again.
      const name = "lanyard-concierge-impersonation-proxy-ca-certificate";
      await kubectl(world.cluster, ["delete", "--namespace=concierge", "secret", name]);
      await eventually("another CA", async () => {
        const pem = await proxyCaPem(world.installation);
        return pem !== undefined && pem !== saved;
      });
      const restore = onCluster.findLast(({ file }) => file === "docs/secrets.md");
      await type("docs/secrets.md", transcriptOf(restore?.content ?? "").script);
      await eventually("the CA of before", async () => (await proxyCaPem(world.installation)) === saved);
      await eventually("a client that knows the CA of before", () =>
        world.proxy.call("/version").then(() => true),
      );
    },
    [last]: async () => {
      await eventually("no exchange without the authenticator", async () => {
        const { text } = await world.postThroughProxy(await world.idToken(user)).catch(() => ({ text: "" }));
        return text === exchangeFailed || text === "";
      });
    },
  };
});
