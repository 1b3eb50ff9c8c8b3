import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { jwtVerify } from "jose";
import { createJwtBench, AUDIENCE, ISSUER, makeKey, part } from "./testing/jwt-bench.ts";
import type { TestKey } from "./testing/jwt-bench.ts";

type Bench = Awaited<ReturnType<typeof createJwtBench>>;

let rsa: TestKey;
let bench: Bench;

before(async () => {
  rsa = await makeKey("RS256", "rsa");
  bench = await createJwtBench([rsa]);
});

/** What jose says, with the same demands (contract 4.5); the end of a token has no leeway. */
async function acceptedByJose(token: string, { clock }: Bench): Promise<boolean> {
  const common = {
    algorithms: ["RS256"],
    issuer: ISSUER,
    audience: AUDIENCE,
    requiredClaims: ["exp"],
    currentDate: new Date(clock.now()),
  };
  try {
    await jwtVerify(token, rsa.publicKey, { ...common, clockTolerance: 60 });
  } catch {
    return false;
  }
  const { exp } = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as {
    exp: number;
  };
  return Number.isFinite(exp) && clock.now() < exp * 1000;
}

const accepted = async (token: string): Promise<boolean> =>
  bench.login(token).then(
    (identity) => identity !== undefined,
    () => false,
  );

describe("tokens are judged as jose judges them", () => {
  const now = (): number => bench.now;
  const claims: readonly (readonly [string, () => Readonly<Record<string, unknown>>, boolean])[] = [
    ["as they should be", () => ({}), true],
    ["another issuer", () => ({ iss: `${ISSUER}/` }), false],
    ["issuer in a list", () => ({ iss: [ISSUER] }), false],
    ["no issuer", () => ({ iss: undefined }), false],
    ["audience in a list", () => ({ aud: ["other", AUDIENCE] }), true],
    ["audience in an object", () => ({ aud: { [AUDIENCE]: true } }), false],
    ["audience as part of a text", () => ({ aud: `${AUDIENCE}2` }), false],
    ["another audience", () => ({ aud: "other" }), false],
    ["audience in a list in a list", () => ({ aud: [[AUDIENCE]] }), false],
    ["no audience", () => ({ aud: undefined }), false],
    ["no end", () => ({ exp: undefined }), false],
    ["end as text", () => ({ exp: String(now() + 300) }), false],
    ["end now", () => ({ exp: now() }), false],
    ["end in a second", () => ({ exp: now() + 1 }), true],
    ["end in half a second", () => ({ exp: now() + 0.5 }), true],
    ["end a second ago", () => ({ exp: now() - 1 }), false],
    ["end null", () => ({ exp: null }), false],
    ["begin in 60 seconds", () => ({ nbf: now() + 60 }), true],
    ["begin in 61 seconds", () => ({ nbf: now() + 61 }), false],
    ["begin in 60.5 seconds", () => ({ nbf: now() + 60.5 }), false],
    ["begin as text", () => ({ nbf: "0" }), false],
    ["begin null", () => ({ nbf: null }), false],
    ["issued as text", () => ({ iat: "0" }), false],
    ["issued in the future", () => ({ iat: now() + 3600 }), true],
  ];
  for (const [name, change, expected] of claims) {
    test(name, async () => {
      const token = await bench.sign(change(), rsa);
      assert.equal(await accepted(token), expected);
      assert.equal(await acceptedByJose(token, bench), expected);
    });
  }

  const headers: readonly (readonly [string, unknown])[] = [
    ["no algorithm", {}],
    ["algorithm in a list", { alg: ["RS256"], kid: "rsa" }],
    ["algorithm in small letters", { alg: "rs256", kid: "rsa" }],
    ["another algorithm of the key", { alg: "PS256", kid: "rsa" }],
    ["a list", [{ alg: "RS256" }]],
    ["null", null],
    ["an unknown extension", { alg: "RS256", kid: "rsa", crit: ["exp"], exp: 1 }],
    ["no extension in a list", { alg: "RS256", kid: "rsa", crit: [] }],
    ["an unencoded payload", { alg: "RS256", kid: "rsa", crit: ["b64"], b64: false }],
  ];
  for (const [name, header] of headers) {
    test(`header: ${name}`, async () => {
      const [, payload] = (await bench.sign({}, rsa)).split(".");
      const input = `${part(header)}.${payload}`;
      const signature = await crypto.subtle.sign("RSASSA-PKCS1-v1_5", rsa.privateKey, Buffer.from(input));
      const token = `${input}.${Buffer.from(signature).toString("base64url")}`;
      assert.equal(await accepted(token), false);
      assert.equal(await acceptedByJose(token, bench), false);
    });
  }

  test("form: parts that are missing, too many, or not base64url", async () => {
    const good = await bench.sign({}, rsa);
    const [header = "", payload = "", signature = ""] = good.split(".");
    for (const token of [
      `${header}.${payload}.`,
      `${header}.${payload}`,
      `${good}.`,
      `.${payload}.${signature}`,
      `${header}..${signature}`,
      ` ${good}`,
      `${good}\n`,
      `${header}=.${payload}.${signature}`,
      `${header}.${payload}.${signature}=`,
      `${header}A.${payload}.${signature}`,
      `${header}.${payload}.${signature.slice(0, -1)}`,
      `${header}.${payload}.${signature}A`,
      `${header}.${payload}.+${signature.slice(1)}`,
      `${header}.${part("text")}.${signature}`,
      `${header}.${payload}.${signature.split("").toReversed().join("")}`,
    ]) {
      assert.equal(await accepted(token), false, token);
    }
    assert.equal(await accepted(good), true);
  });

  test("form: a lone character at the end of a part, signed", async () => {
    const whole = (value: object): string => {
      const text = JSON.stringify(value);
      return Buffer.from(text.padEnd(Math.ceil(text.length / 3) * 3)).toString("base64url");
    };
    const header = whole({ alg: "RS256", kid: "rsa" });
    const payload = whole(bench.claims);
    for (const [input, expected] of [
      [`${header}.${payload}`, true],
      [`${header}A.${payload}`, false],
      [`${header}.${payload}A`, false],
    ] as const) {
      const signature = await crypto.subtle.sign("RSASSA-PKCS1-v1_5", rsa.privateKey, Buffer.from(input));
      const token = `${input}.${Buffer.from(signature).toString("base64url")}`;
      assert.equal(await accepted(token), expected, token);
      assert.equal(await acceptedByJose(token, bench), expected, token);
    }
  });
});

test("a key that must not leave WebCrypto is used without a warning", async () => {
  const warnings: Error[] = [];
  const note = (warning: Error): number => warnings.push(warning);
  process.on("warning", note);
  const key = await makeKey("RS256", "rsa");
  const { login, sign } = await createJwtBench([{ ...key, jwk: { ...key.jwk, ext: false } }]);
  assert.equal((await login(await sign({}, key)))?.username, "jane");
  await new Promise((resolve) => setImmediate(resolve));
  process.off("warning", note);
  assert.deepEqual(warnings, []);
});
