/** Equal to package.json's; a guard test compares the two. */
export const VERSION = '0.1.0';
