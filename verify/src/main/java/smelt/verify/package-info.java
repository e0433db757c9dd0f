/// Whether a result is good. Reads only what lies on disk, through `smelt.formats`, so it cannot
/// share the pipeline's mistakes.
package smelt.verify;
