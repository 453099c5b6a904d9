// Tells this browser from others at a server that asks nobody for a key: what is kept of one visitor is no other's.
const NAME = "earpiece_visitor";
const YEAR_S = 365 * 86_400;

// Has the browser show the same cookie each time, also where the page stands in a frame of another site's.
export function beKnown() {
  const known = document.cookie.split("; ").find((cookie) => cookie.startsWith(`${NAME}=`));
  const value = known?.slice(NAME.length + 1) ?? crypto.getRandomValues(new Uint8Array(24)).reduce((text, byte) => text + byte.toString(16).padStart(2, "0"), "");
  const { protocol, pathname } = window.location;
  const among = protocol === "https:" ? "SameSite=None; Secure; Partitioned" : "SameSite=Lax";
  document.cookie = `${NAME}=${value}; Path=${pathname.slice(0, pathname.lastIndexOf("/") + 1)}; Max-Age=${YEAR_S}; ${among}`;
}
