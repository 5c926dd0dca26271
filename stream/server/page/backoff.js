// Retry backoff: doubles with each attempt, with jitter.

const FIRST_SECONDS = 0.5;
const LONGEST_SECONDS = 15;

/** Seconds before attempt number `attempt`, counted from 0. */
export function backoffSeconds(attempt) {
  return Math.min(FIRST_SECONDS * 2 ** attempt, LONGEST_SECONDS) * (0.8 + 0.4 * Math.random());
}
