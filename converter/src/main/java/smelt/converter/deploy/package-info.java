/// What goes with experts on the CPU so that they can be served: how to launch the runtime, and
/// what lies where in the machine's memory.
///
/// [Serving] is who reads a target and with which flags, [Ledger] adds up the bytes, [Deployment]
/// makes the files of the `deploy/` folder of both.
package smelt.converter.deploy;
