/** Channels, as the API shows them. */
import type { Thing } from "../channels/thing.ts";
import type { Value } from "../protocol/channel_lines.ts";

/** The reported and desired state of one channel. */
export interface ChannelView {
  readonly device: string;
  readonly channel: string;
  readonly reported?: Value;
  /** ISO 8601; null: unknown. */
  readonly reportedAt?: string | null;
  readonly desired?: Value;
  /** Who set it. */
  readonly by?: string;
  /** ISO 8601. */
  readonly desiredAt?: string;
  /** Whether the device has accepted the desired value, and has reported the same since. */
  readonly met?: boolean;
  /** Why the device refuses it, in its words. */
  readonly fault?: string;
}

/** All channels of a device that have a value, by name. */
export function channelsOf(thing: Thing): ChannelView[] {
  return thing.channels.sort().map((channel) => {
    const [reported, desired] = [thing.reported(channel), thing.desired(channel)];
    return {
      device: thing.id,
      channel,
      ...(reported &&
        { reported: reported.value, reportedAt: reported.at?.toISOString() ?? null }),
      ...(desired && {
        desired: desired.value,
        by: desired.by,
        desiredAt: desired.at.toISOString(),
        met: desired.isMet,
      }),
      ...(desired?.fault !== undefined && { fault: desired.fault }),
    };
  });
}
