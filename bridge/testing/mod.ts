/**
 * Tests of your own programs in a simulated world: servers and clients on machines, a network that fails, and a clock
 * that stands still while code runs. Holdfast's own simulator is built on it.
 *
 * @module
 */
export { simulate } from "./world.ts";
export type { MachineOptions, SimulationOptions, TroubleOptions, World } from "./world.ts";
export type { Machine, Program, Started } from "./machine.ts";
export type { Conditions } from "./network.ts";
export { PATH_FAULTS, type PathFault } from "./path_faults.ts";
export { Random } from "./random.ts";
