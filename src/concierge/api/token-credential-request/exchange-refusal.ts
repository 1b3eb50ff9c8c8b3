import { LanyardError } from "../../../errors.ts";
import type { Identity } from "../../../identity/identity.ts";
import type { PersonalInfo } from "../../../telemetry/audit.ts";
import type { ExchangeResult } from "../../../telemetry/metrics.ts";
import type { StatusError } from "../../request/status.ts";

/** Why there is no credential, in the terms of contract 2.5. */
export class ExchangeRefusal extends LanyardError {
  readonly event: "Unexpected Error" | "Authentication Failed" | "Unsupported UserInfo";
  readonly result: ExchangeResult;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly personalInfo: PersonalInfo | undefined;
  /** Instead of "authentication failed". */
  readonly answer: StatusError | undefined;

  constructor(
    event: ExchangeRefusal["event"],
    result: ExchangeResult,
    fields: Readonly<Record<string, unknown>>,
    { personalInfo, answer }: { readonly personalInfo?: PersonalInfo; readonly answer?: StatusError } = {},
  ) {
    super({ code: "exchange.refused", message: event });
    this.name = "ExchangeRefusal";
    this.event = event;
    this.result = result;
    this.fields = fields;
    this.personalInfo = personalInfo;
    this.answer = answer;
  }
}

/** The authenticator, a policy or the deny list said no. */
export function rejected(): ExchangeRefusal {
  return new ExchangeRefusal("Authentication Failed", "authentication_failed", {
    reason: "auth rejected by authenticator",
  });
}

/** A step failed; `err` is for the audit line alone. */
export function unexpected(
  result: ExchangeResult,
  reason: string,
  err: string,
  answer?: StatusError,
): ExchangeRefusal {
  return new ExchangeRefusal(
    "Unexpected Error",
    result,
    { reason, err },
    answer === undefined ? {} : { answer },
  );
}

/** Nothing can be issued to this identity. */
export function unsupported({ username, uid, extra }: Identity, err: string): ExchangeRefusal {
  return new ExchangeRefusal(
    "Unsupported UserInfo",
    "unsupported_identity",
    {
      userInfoExtrasCount: Object.keys(extra).length,
      reason: "unsupported value in userInfo returned by authenticator",
      err,
    },
    { personalInfo: { userInfoName: username, userInfoUID: uid ?? "" } },
  );
}
