/**
 * A bridge between a server's devices and an MQTT broker.
 *
 * @module
 */
export { MqttBridge, type MqttOptions } from "./bridge.ts";
export { mqttOptions } from "./options.ts";
