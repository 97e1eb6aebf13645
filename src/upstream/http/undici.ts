/**
 * The only file that imports undici, by private paths: its entry adds 340 kB and 40 ms to the
 * start. Hence the ~ range in package.json, and `npm run test:undici`.
 */
import type { buildConnector as BuildConnector, Client as ClientType, Dispatcher } from 'undici';
// @ts-expect-error the file has no declarations of its own; those of the package's entry describe it
import connector from 'undici/lib/core/connect.js';
// @ts-expect-error as above
import UndiciClient from 'undici/lib/dispatcher/client.js';

export const HttpClient: typeof ClientType = UndiciClient;
export type HttpClient = ClientType;
export const buildConnector: typeof BuildConnector = connector;
export type Connector = BuildConnector.connector;
export type ConnectOptions = Parameters<Connector>[0];
export type ConnectCallback = Parameters<Connector>[1];
export type HttpMethod = Dispatcher.HttpMethod;
export type DispatchHandler = Dispatcher.DispatchHandler;
export type DispatchController = Dispatcher.DispatchController;
