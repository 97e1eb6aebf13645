import type { Layer } from '../core/pipeline/call.ts';
import type { UserLayers } from '../proxy.ts';
import { OptionsError } from './options-error.ts';

/** @throws OptionsError if a layer returns no handler: otherwise each call would fail. */
const checked =
  (layer: Layer, name: string): Layer =>
  (next) => {
    const handler: unknown = layer(next);
    if (typeof handler === 'function') return handler as ReturnType<Layer>;
    throw new OptionsError('createProxy', [
      { field: 'layers', message: `layers.${name} must return a handler` },
    ]);
  };

/** The layers of a program; their results are checked when the proxy is created. */
export const checkedLayers = ({ before = [], after = [] }: UserLayers = {}): UserLayers => ({
  before: before.map((layer, at) => checked(layer, `before[${at}]`)),
  after: after.map((layer, at) => checked(layer, `after[${at}]`)),
});
