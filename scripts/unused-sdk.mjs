// Replaces the MCP SDK's schema validator in the bundle, which is not used and has 200 kB.
// scripts/build.mjs inserts this file.
export const CORS_IS_POSSIBLE = false;

export class DefaultJsonSchemaValidator {
  getValidator() {
    throw new TypeError('the bundle contains no JSON Schema validator');
  }
}
