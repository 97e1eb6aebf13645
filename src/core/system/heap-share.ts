import { getHeapStatistics } from 'node:v8';

/**
 * A text of so many bytes can take as many again as JSON, and twice that where it is not Latin-1.
 */
const SHARE_OF_HEAP = 8;

const MAX_SHARE_BYTES = Math.floor(getHeapStatistics().heap_size_limit / SHARE_OF_HEAP);

/**
 * A bound in bytes that a process with a small heap lowers.
 * @param most - the bound where the heap has room for eight times as much.
 */
export const heapShare = (most: number): number => Math.min(most, MAX_SHARE_BYTES);
