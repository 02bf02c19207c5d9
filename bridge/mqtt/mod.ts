/**
 * A bridge between a server's devices and an MQTT broker. README.md describes its topics and guarantees.
 *
 * @module
 */
export type { MqttCredentials, MqttTls } from "./access.ts";
export type { HomeAssistantOptions } from "./announcer.ts";
export type { PerDevice } from "./availability.ts";
export type { AvailabilityOf } from "./discovery.ts";
export { MqttBridge, type MqttOptions } from "./bridge.ts";
export type { MqttState } from "./state.ts";
