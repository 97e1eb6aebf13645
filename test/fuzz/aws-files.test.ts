import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseKnownFiles } from '@smithy/shared-ini-file-loader';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { defectOf, readSharedFiles } from '../../src/auth/credentials/shared-files.ts';
import { FUZZ_TIMEOUT, fuzz } from '../support/fuzz.ts';
import { makeTempHome } from '../support/temp-home.ts';

type Sections = Readonly<Record<string, Readonly<Record<string, string | undefined>>>>;

interface Files {
  readonly config: string;
  readonly credentials: string;
}

/** Two pairs of paths: one for the proxy, which gives the SDK's parser edited texts for its own, and one that stays as it is. */
async function rig() {
  const { home } = await makeTempHome();
  const places = (name: string): Files => ({
    config: join(home, `${name}-config`),
    credentials: join(home, `${name}-credentials`),
  });
  const [own, plain] = [places('own'), places('plain')];
  return async ({ config, credentials }: Files) => {
    for (const paths of [own, plain]) {
      await writeFile(paths.config, config);
      await writeFile(paths.credentials, credentials);
    }
    const { profiles, ssoSessions } = await readSharedFiles({
      AWS_CONFIG_FILE: own.config,
      AWS_SHARED_CREDENTIALS_FILE: own.credentials,
    });
    const sdk = await parseKnownFiles({
      filepath: plain.credentials,
      configFilepath: plain.config,
      ignoreCache: true,
    });
    return { profiles: { ...profiles }, ssoSessions: { ...ssoSessions }, sdk };
  };
}

const simple = fc.constantFrom(
  'default',
  'dev',
  'a-b_c',
  'me@example.com',
  'x/y:z',
  'constructor',
  'toString',
  '0',
);
/** Names that the AWS CLI takes and the SDK's parser passes over. */
const odd = fc.constantFrom('two words', 'größe', 'a(b)', 'x!', '日本', "o'neill");
const name = fc.oneof({ weight: 3, arbitrary: simple }, { weight: 1, arbitrary: odd });
const settings = fc.dictionary(
  fc.constantFrom('region', 'role_arn', 'sso_session', 'credential_process', 'constructor', 'output'),
  fc.constantFrom(
    'eu-west-1',
    'a b',
    'x=y',
    'arn:aws:iam::123456789012:role/r',
    '/bin/p --a "b c"',
    'é',
    '0',
  ),
  { noNullPrototype: true, minKeys: 1, maxKeys: 4 },
);
const profiles = fc.dictionary(name, settings, { noNullPrototype: true, maxKeys: 4 });
const layout = fc.record({
  end: fc.constantFrom('\n', '\r\n'),
  comment: fc.constantFrom('', '# comment', '; comment', '   # [profile no]'),
  equals: fc.constantFrom('=', ' = ', ' =', '= '),
  quoted: fc.boolean(),
  last: fc.boolean(),
});
type Layout = typeof layout extends fc.Arbitrary<infer T> ? T : never;

/** A file as a person could have written it. */
function written(sections: Sections, file: 'config' | 'credentials', look: Layout): string {
  const lines = Object.entries(sections).flatMap(([section, values]) => {
    const quote = look.quoted && !section.includes("'") ? "'" : '"';
    const given = /^[\w\-@+.%:/]+$/.test(section) && !look.quoted ? section : `${quote}${section}${quote}`;
    const header = file === 'credentials' ? section : section === 'default' ? 'default' : `profile ${given}`;
    return [
      look.comment,
      `[${header}]`,
      ...Object.entries(values).map(([key, value]) => `${key}${look.equals}${value}`),
      '',
    ];
  });
  return lines.join(look.end) + (look.last ? look.end : '');
}

/** Those that the parser of the SDK reads by their own names; it loses one whose name every object has. */
const readable = (sections: Sections): Sections =>
  Object.fromEntries(
    Object.entries(sections).filter(
      ([section]) => /^[\w\-@+.%:/]+$/.test(section) && !(section in Object.prototype),
    ),
  );

it(
  'AWS files that a person wrote are read as intended, and as the parser of the SDK reads them',
  async () => {
    const read = await rig();
    await fuzz(
      fc.asyncProperty(profiles, profiles, layout, async (inConfig, inCredentials, look) => {
        const config = written(inConfig, 'config', look);
        const credentials = written(inCredentials, 'credentials', look);
        const found = await read({ config, credentials });
        const meant: Record<string, object> = {};
        for (const sections of [inConfig, inCredentials]) {
          for (const [section, values] of Object.entries(sections)) {
            meant[section] = { ...(Object.hasOwn(meant, section) ? meant[section] : {}), ...values };
          }
        }
        expect(found.profiles).toEqual(meant);
        expect(readable(found.profiles)).toEqual(readable(found.sdk));
        expect([defectOf(config), defectOf(credentials)]).toEqual([undefined, undefined]);
      }),
      150,
    );
  },
  FUZZ_TIMEOUT,
);

const scrap = fc.constantFrom(
  '[default]',
  '[profile dev]',
  '[profile "two words"]',
  "[profile 'dev']",
  '[dev]',
  '[sso-session s]',
  '[services s]',
  '[profile]',
  '[profile  ]',
  '[]',
  '[',
  'region=eu-west-1',
  ' region = us-east-1 ; comment',
  's3 =',
  '  endpoint_url = x',
  'source_profile = two words',
  'no equals',
  '=x',
  '# comment',
  '\uFEFF[default]',
  '\0',
);

it(
  'AWS files of any content are read without a failure, and as the SDK reads their profiles',
  async () => {
    const read = await rig();
    const text = fc
      .array(fc.tuple(fc.oneof(scrap, fc.string({ maxLength: 12 })), fc.constantFrom('\n', '\r\n', '\r')), {
        maxLength: 14,
      })
      .map((lines) => lines.flat().join(''));
    await fuzz(
      fc.asyncProperty(text, text, async (config, credentials) => {
        const parsed = await read({ config, credentials }).catch((error: Error) => error.message);
        expect(typeof parsed === 'string' ? parsed : 'read').toBe('read');
        if (typeof parsed === 'string') return;
        const own = readable(parsed.profiles);
        for (const [section, values] of Object.entries(readable(parsed.sdk))) {
          // The AWS CLI reads [profile dev] of the credentials file as a profile of that whole name.
          if (/^(sso-session|services|profile)\./.test(section)) continue;
          const { source_profile: _named, ...rest } = values;
          const { source_profile: _alias, ...found } = own[section] ?? {};
          expect([section, found]).toEqual([section, rest]);
        }
      }),
      150,
    );
  },
  FUZZ_TIMEOUT,
);
