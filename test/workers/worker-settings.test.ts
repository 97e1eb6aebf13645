import { describe, expect, it } from 'vitest';
import { partOf, placeText, readPlace, resourceOfWorker } from '../../src/workers/worker-settings.ts';

describe('the part of a limit that one worker has', () => {
  it.each([
    [0, 2, [0, 0]],
    [1, 2, [1, 0]],
    [5, 4, [2, 1, 1, 1]],
    [1_024, 3, [342, 341, 341]],
    [3, 1, [3]],
  ])('the parts of %i among %i workers are %j, which add up to the whole', (whole, count, parts) => {
    const own = Array.from({ length: count }, (_, index) => partOf(whole, { index, count, port: 0 }));
    expect(own).toEqual(parts);
    expect(own.reduce((sum, part) => sum + part, 0)).toBe(whole);
  });
});

it('the place of a worker survives the text in its environment', () => {
  const place = { index: 3, count: 4, port: 8_080 };
  expect(readPlace(placeText(place))).toEqual(place);
});

describe('the OpenTelemetry resource of a worker', () => {
  it.each([
    ['', 'service.instance.id=a%20host-1'],
    ['team=a', 'team=a,service.instance.id=a%20host-1'],
    ['service.instance.id=pod-7,team=a', 'service.instance.id=pod-7-1,team=a'],
    ['team=a, service.instance.id=pod-7', 'team=a,service.instance.id=pod-7-1'],
  ])('the OpenTelemetry resource of a worker with "%s" has an instance of its own', (given, own) => {
    expect(resourceOfWorker(given, { index: 1, count: 2, port: 0 }, 'a host')).toBe(own);
  });
});
