import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { parse, stringify } from "yaml";
import { execCredential, type Person, type ProgramResult } from "./harness/cli.ts";
import { type LoginBrowser, openLoginBrowser } from "./harness/cli-browser.ts";
import { ensureForeignCli } from "./harness/cli-foreign.ts";
import { openTerminal } from "./harness/cli-terminal.ts";
import {
  ada,
  authenticators,
  type CliWorld,
  modes,
  others,
  plainClientId,
  startCliWorld,
  succeeded,
} from "./harness/cli-world.ts";

const browserFlow = ["--upstream-identity-provider-flow=browser_authcode"];
const ask = ["get", "configmaps", "--output=name"];

interface Kubeconfig {
  readonly clusters: readonly { readonly cluster: { readonly server: string } }[];
  readonly users: readonly {
    readonly user: { readonly exec: { command: string; readonly args: readonly string[] } };
  }[];
}

describe("people log in with the CLI, on a real cluster", { concurrency: 2 }, () => {
  let world: CliWorld;
  let browser: LoginBrowser;

  before(async () => {
    [world, browser] = await Promise.all([startCliWorld("cli-login"), openLoginBrowser()]);
  });
  after(async () => {
    await browser?.close();
    await world?.stop();
  });

  const execOf = (file: string) => {
    const kubeconfig = parse(readFileSync(file, "utf8")) as Kubeconfig;
    const exec = kubeconfig.users[0]?.user.exec;
    assert.ok(exec !== undefined);
    return { kubeconfig, exec };
  };
  /** Everything that may never be shown. */
  const assertNothingSecret = (person: Person, text: string): void => {
    assert.doesNotMatch(text, /PRIVATE KEY|eyJ[\w-]{20}|pin_[a-z]{2}_/);
    assert.ok(!text.includes(ada.password));
    for (const file of [person.sessions, person.credentials]) {
      if (existsSync(file)) {
        assert.ok(!text.includes(readFileSync(file, "utf8").slice(0, 200)));
      }
    }
  };
  const logInWithBrowser = async (
    person: Person,
    work: Promise<ProgramResult>,
    through: LoginBrowser = browser,
  ): Promise<ProgramResult> => {
    const early = work.then(({ stderr }) =>
      assert.fail(`it ended before a browser was asked for: ${stderr}`),
    );
    const url = await Promise.race([person.openedUrl(), early]);
    early.catch(() => {});
    const outcome = await through.logIn(url, ada);
    assert.match(outcome.text, /^you have been logged in and may now close this tab$/m);
    return succeeded(await work);
  };

  for (const [index, mode] of modes.entries()) {
    it(`${mode}: kubeconfig made, kubectl used, Chromium logs in at a plain OIDC issuer`, async () => {
      const person = await world.person();
      const kubeconfig = await world.getKubeconfig(person, mode, authenticators.plain);
      const server = execOf(kubeconfig).kubeconfig.clusters[0]?.cluster.server;
      assert.equal(server, mode === "ImpersonationProxy" ? world.proxyServer : world.cluster.serverUrl);
      const first = await logInWithBrowser(person, person.kubectl(kubeconfig, ask));
      assert.match(first.stdout, /^configmap\/kube-root-ca\.crt\n$/);
      assertNothingSecret(person, first.stderr);
      const second = succeeded(await person.kubectl(kubeconfig, ask));
      assert.deepEqual([second.stdout, second.stderr], [first.stdout, ""]);
      assert.equal(person.unopened(), 0);
    });

    it(`${mode}: kubeconfig made, kubectl used, a password typed for the Supervisor`, async () => {
      const person = await world.person();
      const user = others[index] ?? ada;
      const kubeconfig = await world.getKubeconfig(person, mode, authenticators.supervisor);
      const terminal = openTerminal(person, ["kubectl", `--kubeconfig=${kubeconfig}`, ...ask]);
      await terminal.waitFor("Log in to corp");
      await terminal.waitFor("Username: ");
      terminal.type(`${user.username}\n`);
      await terminal.waitFor("Password: ");
      terminal.type(`${user.password}\n`);
      const { stdout, stderr } = succeeded(await terminal.ended);
      assert.equal(stdout, "configmap/kube-root-ca.crt\n");
      assert.ok(stderr.includes(user.username), "what is no secret is echoed");
      assertNothingSecret(person, stderr);
      assert.deepEqual(world.supervisor.newCalls(user.username), { login: 1, refresh: 0, exchange: 1 });
      assert.equal(world.newExchanges(user.username), 1);
    });

    it(`${mode}: whoami says who somebody is`, async () => {
      const person = await world.person({ user: ada });
      const kubeconfig = await world.getKubeconfig(person, mode, authenticators.supervisor);
      const { stdout } = succeeded(await person.run(["whoami", `--kubeconfig=${kubeconfig}`]));
      assert.match(stdout, /^Username: ada$/m);
      assert.match(stdout, /^Groups: developers, system:authenticated$/m);
    });
  }

  it("the Supervisor's page posts the code from a public address, as Chromium allows when the person does", async () => {
    const port = `127.0.0.1:${world.supervisor.port}`;
    const elsewhere = await openLoginBrowser({ publicServers: [port] });
    try {
      const person = await world.person();
      const kubeconfig = await world.getKubeconfig(
        person,
        "ImpersonationProxy",
        authenticators.supervisor,
        browserFlow,
      );
      const { stdout } = await logInWithBrowser(person, person.kubectl(kubeconfig, ask), elsewhere);
      assert.match(stdout, /kube-root-ca/);
    } finally {
      await elsewhere.close();
    }
  });

  it("a code that Chromium may not post is pasted into the terminal", async () => {
    const strict = await openLoginBrowser({
      publicServers: [`127.0.0.1:${world.supervisor.port}`],
      allowsLocalNetworkAccess: false,
    });
    try {
      const person = await world.person();
      const kubeconfig = await world.getKubeconfig(
        person,
        "ImpersonationProxy",
        authenticators.supervisor,
        browserFlow,
      );
      const terminal = openTerminal(person, ["kubectl", `--kubeconfig=${kubeconfig}`, ...ask]);
      await terminal.waitFor("Optionally, paste your authorization code: ");
      const outcome = await strict.logIn(await person.openedUrl(), ada);
      assert.equal(outcome.title, "Finish your login");
      terminal.type(`${outcome.text}\n`);
      assert.equal(succeeded(await terminal.ended).stdout, "configmap/kube-root-ca.crt\n");
    } finally {
      await strict.close();
    }
  });

  it("on a jump host without a browser: a device code, confirmed in Chromium", async () => {
    const person = await world.person({ environment: { LANYARD_DEVICE_CODE: "true" } });
    const kubeconfig = await world.getKubeconfig(person, "ImpersonationProxy", authenticators.plain);
    const terminal = openTerminal(person, ["kubectl", `--kubeconfig=${kubeconfig}`, ...ask]);
    const shown = await terminal.waitFor(/https:\S+user_code=\S+/);
    const complete = /https:\S+user_code=\S+/.exec(shown)?.[0] ?? "";
    await browser.withPage(async (page) => {
      await page.goto(complete);
      await page.click("[type=submit], button");
      await page.fill("[name=username]", ada.username);
      await page.click("button");
      await page.getByText("Sign-in Success").waitFor();
    });
    assert.equal(succeeded(await terminal.ended).stdout, "configmap/kube-root-ca.crt\n");
    assert.equal(person.unopened(), 0, "nothing was opened on the jump host");
  });

  it("a wrong password is told in one line, and nothing is kept", async () => {
    const person = await world.person();
    const kubeconfig = await world.getKubeconfig(person, "ImpersonationProxy", authenticators.supervisor);
    const { code, stdout, stderr } = await person.run(execOf(kubeconfig).exec.args, {
      environment: { PINNIPED_USERNAME: ada.username, PINNIPED_PASSWORD: "wrong" },
    });
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(
      stderr,
      /\n?Error: could not complete Pinniped login: login failed with code "access_denied": .*Username\/password not accepted/,
    );
    assert.ok(!existsSync(person.sessions) || !readFileSync(person.sessions, "utf8").includes("pin_"));
  });

  it("Ctrl-C at a prompt ends the login, and the terminal echoes again", async () => {
    const person = await world.person();
    const kubeconfig = await world.getKubeconfig(person, "ImpersonationProxy", authenticators.supervisor);
    const command = ["login-command", ...execOf(kubeconfig).exec.args].map((word) => `'${word}'`).join(" ");
    const terminal = openTerminal(person, [
      "sh",
      "-c",
      `set -- ${command}; shift; ${person.lanyard} "$@"; echo "ended with $?" >&2; stty -a >&2`,
    ]);
    await terminal.waitFor("Username: ");
    terminal.type(`${ada.username}\n`);
    await terminal.waitFor("Password: ");
    terminal.type("half of it");
    terminal.interrupt();
    await terminal.waitFor(/ended with (1|130)/);
    await terminal.waitFor(/ echo /);
    await terminal.ended;
    assert.ok(!terminal.screen().includes("half of it"));
    assert.doesNotMatch(terminal.screen(), /\bat .*\.ts:\d+/, "no stack");
  });

  it("stdout holds one line of JSON, whether the credential is new or cached", async () => {
    const person = await world.person({ user: ada });
    const kubeconfig = await world.getKubeconfig(person, "ImpersonationProxy", authenticators.supervisor);
    const { args } = execOf(kubeconfig).exec;
    const fresh = await person.run(args);
    const cached = await person.run(args);
    for (const result of [fresh, cached]) {
      const credential = execCredential(result);
      assert.equal(credential.apiVersion, "client.authentication.k8s.io/v1beta1");
      assert.match(credential.status.clientCertificateData ?? "", /^-----BEGIN CERTIFICATE-----\n/);
      assert.match(credential.status.expirationTimestamp ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    }
    assert.equal(cached.stdout, fresh.stdout);
    assert.equal(cached.stderr, "", "a hit says nothing");
  });

  it("the other CLI's kubeconfig works with lanyard as its command, and the other way round", async () => {
    const foreign = await ensureForeignCli();
    const user = others[modes.length] ?? ada;
    const person = await world.person({ user });
    const theirs = person.command("foreign", foreign);
    const kubeconfig = await world.getKubeconfig(person, "ImpersonationProxy", authenticators.supervisor);
    const { kubeconfig: content, exec } = execOf(kubeconfig);
    exec.command = theirs;
    const file = person.write("theirs.yaml", stringify(content));
    // Both are asked the same, so whoever comes second finds what the first one stored.
    for (const each of [file, kubeconfig, file, kubeconfig]) {
      assert.equal(succeeded(await person.kubectl(each, ask)).stdout, "configmap/kube-root-ca.crt\n");
    }
    assert.deepEqual([person.runs("foreign").length > 0, person.runs().length > 0], [true, true]);
    assert.deepEqual(world.supervisor.newCalls(user.username), { login: 1, refresh: 0, exchange: 1 });
    assert.equal(world.newExchanges(user.username), 1);
  });

  it("logout forgets, and revokes the session at an issuer that can", async () => {
    const person = await world.person();
    const kubeconfig = await world.getKubeconfig(person, "ImpersonationProxy", authenticators.plain);
    await logInWithBrowser(person, person.kubectl(kubeconfig, ask));
    const before = world.issuer.hits("/token/revocation");
    const { stdout, stderr } = succeeded(await person.run(["logout", `--kubeconfig=${kubeconfig}`]));
    assertNothingSecret(person, stdout + stderr);
    assert.ok(world.issuer.hits("/token/revocation") > before);
    for (const file of [person.credentials, person.sessions]) {
      assert.ok(!existsSync(file) || !/PRIVATE KEY|refresh/.test(readFileSync(file, "utf8")), file);
    }
    // Somebody must log in again.
    const again = person.kubectl(kubeconfig, ask);
    await logInWithBrowser(person, again);
  });

  it("doctor finds nothing wrong with a kubeconfig that works, and shows nothing secret", async () => {
    const person = await world.person({ user: ada });
    const kubeconfig = await world.getKubeconfig(person, "ImpersonationProxy", authenticators.supervisor);
    succeeded(await person.kubectl(kubeconfig, ask));
    const { stdout, stderr } = succeeded(await person.run(["doctor", `--kubeconfig=${kubeconfig}`]));
    assertNothingSecret(person, stdout + stderr);
    for (const what of [/clock/i, /issuer/i, /authenticator|concierge/i, /cluster/i]) {
      assert.match(stdout, what);
    }
  });

  it("get kubeconfig needs no flags for what there is only one of, and says what it found", async () => {
    const person = await world.person();
    const { stderr, stdout } = succeeded(
      await person.run([
        "get",
        "kubeconfig",
        `--kubeconfig=${world.cluster.kubeconfig}`,
        "--concierge-authenticator-name=plain",
        `--oidc-client-id=${plainClientId}`,
      ]),
    );
    for (const text of [
      "discovered CredentialIssuer",
      "discovered Concierge endpoint",
      "discovered Concierge certificate authority bundle",
      "validated connection to the cluster",
    ]) {
      assert.ok(stderr.includes(text), `${text} in ${stderr}`);
    }
    assert.match(stdout, /--concierge-authenticator-type=jwt/);
  });
});
