// Loads what tests/gear/install put into the cache: ES modules look for packages beside
// themselves only, and the packages live outside the tree.
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';

export const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'tidegate-gear');

export function load(name) {
  try {
    return createRequire(join(cache, 'npm', 'package.json'))(name);
  } catch (error) {
    console.error(`npm package ${name} is missing (${error.code}): run tests/gear/install`);
    process.exit(2);
  }
}

/**
 * Splits the command line: `positional` words, `--name VALUE` options and `--name` flags, as
 * `usage` spells them. `--help` prints `usage`; whatever it does not know of, too.
 */
export function parseArguments(usage, positional) {
  const found = { _: [] };
  const rest = process.argv.slice(2);
  const wrong = (what) => {
    console.error(`${what}\n${usage}`);
    process.exit(2);
  };
  while (rest.length > 0) {
    const word = rest.shift();
    if (word === '--help') {
      console.log(usage);
      process.exit(0);
    }
    if (!word.startsWith('--')) found._.push(word);
    else if (usage.includes(`[${word}]`)) found[word.slice(2)] = true;
    else if (!usage.includes(`[${word} `)) wrong(`no such option: ${word}`);
    else if (rest.length === 0) wrong(`${word} needs a value`);
    else found[word.slice(2)] = rest.shift();
  }
  if (found._.length !== positional) wrong(`${found._.length} arguments, not ${positional}`);
  return found;
}
