/// A model: its config, its shards joined by the index, and what each tensor is for.
///
/// `Checkpoint.open` is the way in. `ModelConfig` says how large the model is; `Architecture`
/// derives from it every weight that the model has, with name, `TensorRole` and shape; the shards'
/// headers must hold exactly these. A quantized weight is joined with its decode scales by element
/// type and by name, wherever they lie. `Inventory` counts the result.
package smelt.formats.checkpoint;
