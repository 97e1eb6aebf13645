/** More words than this before "session" say nothing about it. */
const MAX_CLAUSE = 80;
/** Longer texts are a tool's output, not a server's complaint about a session. */
const MAX_JUDGED_CHARS = 2_048;

/** A new session mends none of these: the text is about credentials, signatures or permissions. */
const ABOUT_CREDENTIALS =
  /\btokens?\b|credential|\bsignatures?\b|\bsigned\b|permission|access denied|not authori[sz]ed|unauthori[sz]ed to|api key|\bjwt\b|oauth|\bbearer\b|log ?in\b|sign ?in\b|\bsso\b|authenticat|\biam\b|password/;

/** The text complains about an argument of the call, which may well be called `session_id`. */
const ABOUT_ARGUMENTS = /\bparam|\bargument|\bproperty\b|\bfield\b|\bschema\b|validation/;

const words = (list: string): ReadonlySet<string> => new Set(list.split(' '));

/**
 * Before "session", these deny that it exists: "no valid session", "unknown session id", "could not
 * find session".
 */
const DENIALS = words(
  'no not unknown invalid unrecognized unrecognised expired stale inactive dead closed terminated nonexistent existent unregistered failed unable',
);

/**
 * Before "session", these still mean the session of the protocol; any other word means another
 * kind, as in "browser session".
 */
const PLAIN = words(
  `mcp http sse transport streamable client server the this that your its a an any such or and with for of to in provided given requested specified supplied associated corresponding matching valid active existing current live missing bad found find locate resolve get load could can did does have has is was old ${[...DENIALS].join(' ')}`,
);

/** After "session": the rest of its name, and the id that it may be followed by. */
const NAME_REST = String.raw`^s?(?: (?:id|identifier|header|key)s?\b){0,2}`;
const ID = String.raw`(?:(?: (?:with|for|of))?(?: id\b)?[:=]? *["'\x60(<[{]?(?<id>[^\s"'\x60)>\]}]+)["'\x60)>\]}]?)`;
const VERBS = String.raw`[\s,:]*(?:(?:provided|is|was|were|has|have|been|already|either|could|can|ca|does|did|may|might|probably|or|you|sent) )*`;
const VERDICT = String.raw`(?:(?:not|never|no longer)(?: (?:be|been|a|yet|currently|longer))* (?:found|exist\w*|active|valid|available|initiali[sz]ed|recogni[sz]ed|registered|known|alive|established|open)\b|(?:unknown|invalid|unrecogni[sz]ed|expired|terminated|closed|ended|deleted|destroyed|gone|lost|inactive|timed out|evicted|removed|stale|dead|nonexistent)\b)`;
const DENIED = new RegExp(`${NAME_REST}${VERBS}${VERDICT}`);
const DENIED_BY_ID = new RegExp(`${NAME_REST}${ID}${VERBS}${VERDICT}`);
/** An id that follows the denial: "unknown session: a-7". A plain word is not an id. */
const NAMED = new RegExp(
  String.raw`${NAME_REST}(?: provided)?[:=]? *["'\x60(<[{]?(?<id>[^\s"'\x60)>\]}]*[\d#][^\s"'\x60)>\]}]*)`,
);
/** "invalid session state" is about what a session is in, not about whether it exists. */
const OTHER_NOUN = /^ (?:state|type|mode|name|option|data|limit|config\w*|param\w*|argument\w*)\b/;

/** A server that has never seen `initialize` in this session has lost it. */
const UNINITIALIZED =
  /(?:^|[:.;] *|\bmcp |\bthe |\bhttp )(?:(?:server|client|connection|transport) )?(?:is |was |has )?not (?:been |yet )*initiali[sz]ed|(?:call|send|must|please) (?:an? )?initiali[sz]e|before initiali[sz]ation|during session initiali[sz]ation|re ?initiali[sz]e your (?:connection|session)/;

/**
 * True where the words of an error say that the server does not know the session of the protocol.
 * Pure.
 * @param sessionId - the id that the request carried: a text about another id is about a session of
 * a tool.
 */
export function isAboutLostSession(text: string, sessionId?: string): boolean {
  const plain = normalized(text, sessionId);
  if (ABOUT_CREDENTIALS.test(plain) || ABOUT_ARGUMENTS.test(plain)) return false;
  if (UNINITIALIZED.test(plain)) return true;
  for (const { index } of plain.matchAll(/\bsession/g)) {
    const before = plainWordsBefore(plain.slice(Math.max(0, index - MAX_CLAUSE), index));
    if (!before) continue;
    const after = plain.slice(index + 'session'.length);
    const isOwn = (id: string | undefined): boolean => sessionId === undefined || id === REQUEST_ID;
    const denied = before.some((word) => DENIALS.has(word)) && !OTHER_NOUN.test(after);
    const named = NAMED.exec(after)?.groups?.id;
    if (denied && (named === undefined || isOwn(named))) return true;
    if (DENIED.test(after)) return true;
    const id = DENIED_BY_ID.exec(after)?.groups?.id;
    if (id !== undefined && isOwn(id)) return true;
  }
  return false;
}

const REQUEST_ID = 'own#id';

function normalized(text: string, sessionId: string | undefined): string {
  const marked = text.slice(0, MAX_JUDGED_CHARS);
  return (
    (sessionId ? marked.replaceAll(sessionId, REQUEST_ID) : marked)
      // SessionNotFound, sessionId, ExpiredTokenException
      .replace(/\w+/g, (word) =>
        /session|exception|error/i.test(word) ? word.replace(/([a-z])([A-Z])/g, '$1 $2') : word,
      )
      .toLowerCase()
      // Only between words: a hyphen inside an id stays.
      .replace(/_|(?<=\b(?:mcp|session|not|id|non|re))-(?=[a-z])/g, ' ')
      .replace(/\bnon existent/g, 'nonexistent')
      .replace(/n['’]t\b/g, ' not')
      .replace(/\bcannot\b/g, 'can not')
      .replace(/\s+/g, ' ')
      .trim()
  );
}

/**
 * The words directly before, up to the last mark of punctuation; undefined where they name another
 * kind of session.
 */
function plainWordsBefore(text: string): readonly string[] | undefined {
  const clause = /[a-z ]*$/.exec(text)?.[0].trim() ?? '';
  const before = clause === '' ? [] : clause.split(' ');
  const last = before.at(-1);
  if (last !== undefined && !PLAIN.has(last)) return undefined;
  const start = before.findLastIndex((word) => !PLAIN.has(word));
  return before.slice(start + 1);
}
