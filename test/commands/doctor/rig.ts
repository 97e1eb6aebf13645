import { CommandClient } from '../../../src/commands/command-client.ts';
import { Observations } from '../../../src/commands/doctor/observations.ts';
import { Redactor } from '../../../src/core/errors/redact.ts';
import { Events } from '../../../src/core/pipeline/events.ts';
import { type Clock, systemClock } from '../../../src/core/time/clock.ts';
import { parseArguments, readSettings, type Settings } from '../../../src/settings.ts';
import { afterThisTest } from '../../support/cleanup.ts';
import { settingsIn } from '../../support/settings.ts';
import { makeTempHome } from '../../support/temp-home.ts';

/** Settings as the command line and this environment make them, in a home of the test's own. */
export async function settingsFor(
  argv: readonly string[],
  { env = {}, config }: { env?: NodeJS.ProcessEnv; config?: string } = {},
): Promise<Settings> {
  const temp = await makeTempHome();
  if (config !== undefined) await temp.config(config);
  return settingsIn(await readSettings(parseArguments(argv), { ...temp.env, ...env }));
}

/** A conversation through a proxy with these settings, and the observations that is kept of it. */
export function converse(settings: Settings, { clock = systemClock }: { clock?: Clock } = {}) {
  const events = new Events();
  const redactor = new Redactor();
  const observations = new Observations(events, redactor, () => clock.now());
  const { signal } = new AbortController();
  const client = new CommandClient({ settings, signal, events, clock });
  afterThisTest(() => client.close());
  return { events, redactor, observations, client, signal };
}
