import { LanyardError } from "../../../errors.ts";
import type { Identity } from "../../../identity/identity.ts";
import type { PersonalInfo } from "../../../telemetry/audit.ts";
import type { ExchangeReason } from "../../../telemetry/exchange-metrics.ts";
import type { StatusError } from "../../request/status.ts";

/** Why there is no credential, in the terms of contract 2.5. */
export class ExchangeRefusal extends LanyardError {
  readonly event: "Unexpected Error" | "Authentication Failed" | "Unsupported UserInfo";
  /** As it is counted. */
  readonly reason: ExchangeReason;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly personalInfo: PersonalInfo | undefined;
  /** Instead of "authentication failed". */
  readonly answer: StatusError | undefined;

  constructor(
    event: ExchangeRefusal["event"],
    reason: ExchangeReason,
    fields: Readonly<Record<string, unknown>>,
    { personalInfo, answer }: { readonly personalInfo?: PersonalInfo; readonly answer?: StatusError } = {},
  ) {
    super({ code: "exchange.refused", message: event });
    this.name = "ExchangeRefusal";
    this.event = event;
    this.reason = reason;
    this.fields = fields;
    this.personalInfo = personalInfo;
    this.answer = answer;
  }
}

/** The authenticator, a policy or the deny list said no. */
export function rejected(
  reason: "token_rejected" | "token_too_large" | "deny_list" = "token_rejected",
): ExchangeRefusal {
  return new ExchangeRefusal("Authentication Failed", reason, {
    reason: "auth rejected by authenticator",
  });
}

/** A step failed; `err` is for the audit line alone. */
export function unexpected(
  counted: ExchangeReason,
  reason: string,
  err: string,
  answer?: StatusError,
): ExchangeRefusal {
  return new ExchangeRefusal(
    "Unexpected Error",
    counted,
    { reason, err },
    answer === undefined ? {} : { answer },
  );
}

/** Nothing can be issued to this identity. */
export function unsupported(
  counted: "user_info" | "reserved_identity",
  { username, uid, extra }: Identity,
  err: string,
): ExchangeRefusal {
  return new ExchangeRefusal(
    "Unsupported UserInfo",
    counted,
    {
      userInfoExtrasCount: Object.keys(extra).length,
      reason: "unsupported value in userInfo returned by authenticator",
      err,
    },
    { personalInfo: { userInfoName: username, userInfoUID: uid ?? "" } },
  );
}
