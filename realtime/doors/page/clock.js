// A position in a recording as people write it: 0:07, 12:03, 1:02:03.
export function clock(seconds) {
  const whole = Math.floor(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const tail = `${String(rest).padStart(2, "0")}`;
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

export const places = (spans) => spans.map(({ start_s, end_s }) => `${clock(start_s)}–${clock(end_s)}`).join(", ");
