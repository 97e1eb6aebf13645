import type { Layer } from '../core/pipeline/call.ts';
import type { UserLayers } from '../proxy.ts';
import { OptionsError } from './options-error.ts';

/** @throws OptionsError where a layer returns no handler; each call would fail otherwise. */
const checked =
  (layer: Layer, name: string): Layer =>
  (next) => {
    const handler: unknown = layer(next);
    if (typeof handler === 'function') return handler as ReturnType<Layer>;
    throw new OptionsError('createProxy', [
      { field: 'layers', message: `layers must return a handler; that at ${name} returned none` },
    ]);
  };

/** The layers of a program, which are checked when the proxy is composed. */
export const checkedLayers = ({ before = [], after = [] }: UserLayers = {}): UserLayers => ({
  before: before.map((layer, at) => checked(layer, `before[${at}]`)),
  after: after.map((layer, at) => checked(layer, `after[${at}]`)),
});
