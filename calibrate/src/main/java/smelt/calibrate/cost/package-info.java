/// What a forward pass costs: operations counted from the config, and with rates of a machine the
/// time that they and the bytes take.
package smelt.calibrate.cost;
