import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { createLoopbackCertificate } from "../oidc/certificates.ts";
import { startSupervisor, type TestSupervisor } from "../oidc/supervisor.ts";
import { createPerson, execCredential, type Person, type ProgramResult } from "./harness/cli.ts";
import { ada } from "./harness/cli-world.ts";

const base64 = (text: string): string => Buffer.from(text).toString("base64");
const nobodyListens = "https://127.0.0.1:1";

const kubeconfigs: Readonly<Record<string, readonly [content: string, error: RegExp]>> = {
  empty: ["", /no such context ""/],
  "not YAML": ["{ : : [", /could not load --kubeconfig: .*yaml: /],
  "a list": ["- a", /could not load --kubeconfig: .*not an object/],
  binary: ["\0\x01\x02", /could not load --kubeconfig: /],
  "without its context": [kubeconfigOf({ contexts: [] }), /no such context "x"/],
  "without its cluster": [kubeconfigOf({ clusters: [] }), /no such cluster "y"/],
  "without its user": [kubeconfigOf({ users: [] }), /no such user "z"/],
  "with a CA that is none": [
    kubeconfigOf({
      clusters: [
        { name: "y", cluster: { server: nobodyListens, "certificate-authority-data": base64("x") } },
      ],
    }),
    /holds no certificate/,
  ],
  "for a server that is down": [kubeconfigOf({}), /connection refused \(check the address/],
};

describe("what goes wrong is told in one line with its cause, and nothing hangs", { concurrency: 2 }, () => {
  let supervisor: TestSupervisor;
  let foreignCa: string;
  const people: Person[] = [];

  before(async () => {
    supervisor = await startSupervisor({ users: [ada] });
    foreignCa = (await createLoopbackCertificate()).caPem;
  });
  after(async () => {
    people.forEach((person) => person.remove());
    await supervisor?.stop();
  });

  const somebody = async (clock?: string): Promise<Person> => {
    const person = await createPerson({
      environment: { PINNIPED_USERNAME: ada.username, PINNIPED_PASSWORD: ada.password },
      ...(clock === undefined ? {} : { clock }),
    });
    people.push(person);
    return person;
  };
  const login = (caPem = supervisor.caPem): readonly string[] => [
    "login",
    "oidc",
    `--issuer=${supervisor.issuerUrl}`,
    `--ca-bundle-data=${base64(caPem)}`,
    "--request-audience=somewhere",
    "--upstream-identity-provider-name=corp",
    "--upstream-identity-provider-type=ldap",
    "--upstream-identity-provider-flow=cli_password",
  ];
  const loginAt = (concierge: string, caPem = supervisor.caPem): readonly string[] => [
    ...login(),
    "--enable-concierge",
    "--concierge-authenticator-type=jwt",
    "--concierge-authenticator-name=x",
    `--concierge-endpoint=${concierge}`,
    `--concierge-ca-bundle-data=${base64(caPem)}`,
  ];
  /** Exit 1, nothing on stdout, one line that says why; before it only what a login says to a person. */
  const assertRefused = ({ code, stdout, stderr }: ProgramResult, why: RegExp): void => {
    assert.deepEqual([code, stdout], [1, ""], stderr);
    const lines = stderr.replace("\nLog in to corp\n\n", "").split("\n");
    assert.equal(lines.length, 2, stderr);
    assert.match(lines[0] ?? "", /^Error: /);
    assert.match(lines[0] ?? "", why);
  };

  for (const [what, [content, why]] of Object.entries(kubeconfigs)) {
    it(`a kubeconfig ${what}`, async () => {
      const person = await somebody();
      const file = person.write("kubeconfig", content);
      assertRefused(await person.run(["get", "kubeconfig", `--kubeconfig=${file}`]), why);
      for (const command of ["whoami", "logout"]) {
        assertRefused(await person.run([command, `--kubeconfig=${file}`]), /./);
      }
      const doctor = await person.run(["doctor", `--kubeconfig=${file}`]);
      assert.equal(doctor.code, 1);
      assert.match(doctor.stdout, /^(fail|warn) +kubeconfig: .*; .+$/m, "with what to do");
      assert.doesNotMatch(doctor.stderr, /^ +at /m);
    });
  }

  it("a kubeconfig that is not there", async () => {
    const person = await somebody();
    assertRefused(
      await person.run(["get", "kubeconfig", `--kubeconfig=${person.path("none")}`]),
      /none: no such file or directory/,
    );
  });

  it("an issuer that is down, a Concierge that is down, a Concierge without the API", async () => {
    const person = await somebody();
    const down = login().map((arg) => (arg.startsWith("--issuer=") ? `--issuer=${nobodyListens}` : arg));
    assertRefused(await person.run(down), /could not perform OIDC discovery .*connection refused \(check/);
    assertRefused(
      await person.run(loginAt(nobodyListens)),
      /could not complete Concierge credential exchange: could not login: .*connection refused \(check/,
    );
    assertRefused(
      await person.run(loginAt(new URL(supervisor.issuerUrl).origin)),
      /could not login: the server could not find the requested resource .*\(audit ID [\w-]{36}\)/,
    );
  });

  it("a wrong CA, of the issuer and of the Concierge", async () => {
    const person = await somebody();
    assertRefused(await person.run(login(foreignCa)), /unknown authority .*make the kubeconfig anew/);
    assertRefused(
      await person.run(loginAt(new URL(supervisor.issuerUrl).origin, foreignCa)),
      /unknown authority .*make the kubeconfig anew/,
    );
  });

  for (const clock of ["+10m", "-10m"]) {
    it(`a clock that is off by ten minutes (${clock}) is no hindrance, and not a call for each request`, async () => {
      const person = await somebody(clock);
      const first = await person.run(login());
      const { status } = execCredential(first);
      const here = Date.now() + (clock === "+10m" ? 600_000 : -600_000);
      const left = Date.parse(status.expirationTimestamp ?? "") - here;
      assert.ok(left > 2_000 && left < 120_000, `${left} ms left on that clock`);
      assert.equal((await person.run(login())).stdout, first.stdout, "the second one comes from the cache");
    });
  }

  it("a config folder that cannot be made or written: the login works, and debug says why it is not kept", async () => {
    const person = await somebody();
    const environment = { XDG_CONFIG_HOME: person.write("file", "not a folder") };
    execCredential(await person.run(login(), { environment }));
    const { stderr } = await person.run(login(), { environment: { ...environment, PINNIPED_DEBUG: "true" } });
    assert.match(stderr, /could not create credential cache directory: /);
  });

  it("no home folder: the login works and nothing is kept", async () => {
    const person = await somebody();
    execCredential(await person.run(login(), { environment: { HOME: undefined } }));
  });

  it("no standard input: what needs no question works, what does says so", async () => {
    const person = await somebody();
    execCredential(await person.run(login(), { closedInput: true }));
    person.forget();
    assertRefused(
      await person.run(login(), { closedInput: true, environment: { PINNIPED_USERNAME: undefined } }),
      /error prompting for username: stdin is not connected to a terminal/,
    );
  });

  it("nobody reads what it writes: exit 1 and no stack; a full disk is told", async () => {
    const person = await somebody();
    for (const args of [login(), ["completion", "bash"]]) {
      const command = ["-c", '"$0" "$@" | true; exit ${PIPESTATUS[0]}', person.lanyard, ...args];
      const { code, stderr } = await person.runAs("/bin/bash", command);
      assert.equal(code, 1);
      assert.equal(stderr.replace("\nLog in to corp\n\n", ""), "");
    }
    const full = ["-c", 'exec "$0" "$@" >/dev/full', person.lanyard, ...login()];
    assertRefused(await person.runAs("/bin/sh", full), /no space left on device/);
  });
});

function kubeconfigOf(parts: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "x",
    contexts: [{ name: "x", context: { cluster: "y", user: "z" } }],
    clusters: [{ name: "y", cluster: { server: nobodyListens } }],
    users: [{ name: "z", user: {} }],
    ...parts,
  });
}
