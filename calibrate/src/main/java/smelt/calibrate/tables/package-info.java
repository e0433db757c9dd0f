/// Tables as Arrow IPC files: `Table` and `Column` say what is in one, `ArrowFile` writes it,
/// `ArrowRows` reads it.
package smelt.calibrate.tables;
