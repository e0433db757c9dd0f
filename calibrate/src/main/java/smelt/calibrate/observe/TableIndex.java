package smelt.calibrate.observe;

import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import smelt.formats.BadInputException;
import tools.jackson.core.JacksonException;
import tools.jackson.core.util.DefaultIndenter;
import tools.jackson.core.util.DefaultPrettyPrinter;
import tools.jackson.databind.ObjectWriter;
import tools.jackson.databind.PropertyNamingStrategies;
import tools.jackson.databind.json.JsonMapper;

/// `calibration.json`: what a calibration table was made of, and the digests of its files. Neither
/// times nor machines are in it: the same model, corpus and settings give the same bytes.
///
/// @param schema name and version of the table set
/// @param program who made it
/// @param settings what was measured
/// @param coverage of each layer with experts, in order
/// @param files all other files of the folder, sorted by name
public record TableIndex(
    String schema,
    String program,
    Model model,
    List<CorpusFile> corpus,
    long sequences,
    long tokens,
    Settings settings,
    List<LayerCoverage> coverage,
    Cost cost,
    List<FileEntry> files) {

  /// The file's name in the table's folder.
  public static final String FILE = "calibration.json";

  /// What `schema` is.
  public static final String SCHEMA = "smelt-calibration/2";

  private static final JsonMapper MAPPER =
      JsonMapper.builder().propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE).build();

  private static final DefaultIndenter LINES = new DefaultIndenter("  ", "\n");

  private static final ObjectWriter WRITER =
      MAPPER
          .writer()
          .with(new DefaultPrettyPrinter().withObjectIndenter(LINES).withArrayIndenter(LINES));

  public TableIndex {
    corpus = List.copyOf(corpus);
    coverage = List.copyOf(coverage);
    files = List.copyOf(files);
  }

  /// @param digest see [ModelDigest]
  public record Model(String digest, String architecture, int layers, int hidden) {}

  /// A text that was read.
  public record CorpusFile(String name, String sha256) {}

  /// @param hessians of which sites there are Hessians
  /// @param floor an expert with fewer tokens was calibrated with more than its own
  /// @param heldOut tokens that nothing is chosen from, see [HeldOut]
  public record Settings(HessianChoice hessians, long floor, int sequenceLength, long heldOut) {}

  /// The figures of [Coverage] for a layer.
  public record LayerCoverage(
      int layer,
      int experts,
      long tokens,
      long least,
      long percent1,
      long median,
      long below1,
      long below32,
      long below128,
      double leastEffective,
      long forced) {

    /// The summary of a layer.
    public static LayerCoverage of(Coverage coverage) {
      return new LayerCoverage(
          coverage.layer(),
          coverage.experts().size(),
          coverage.tokens(),
          coverage.least(),
          coverage.quantile(0.01),
          coverage.median(),
          coverage.below(1),
          coverage.below(32),
          coverage.below(128),
          coverage.leastEffective(),
          coverage.experts().stream().mapToLong(Coverage.Expert::forced).sum());
    }
  }

  /// Multiplications and additions of the products with weights.
  ///
  /// @param forward of running the model
  /// @param forced of running experts on further tokens, for the statistics of their `down`
  public record Cost(double forward, double forced) {}

  /// A file by its path in the folder, with `/` between folders.
  public record FileEntry(String name, long bytes, String sha256) {}

  /// The same with what was measured.
  public TableIndex with(List<LayerCoverage> measured, double forcedCost, List<FileEntry> written) {
    return new TableIndex(
        schema,
        program,
        model,
        corpus,
        sequences,
        tokens,
        settings,
        measured,
        new Cost(cost.forward, forcedCost),
        written);
  }

  /// Whether this is of the same model, text and settings as another, by the same program.
  public boolean isOf(TableIndex other) {
    return with(List.of(), 0, List.of()).equals(other.with(List.of(), 0, List.of()));
  }

  /// The bytes of the file.
  public byte[] json() {
    byte[] text = WRITER.writeValueAsBytes(this);
    byte[] line = java.util.Arrays.copyOf(text, text.length + 1);
    line[text.length] = '\n';
    return line;
  }

  /// @param file for messages
  static TableIndex read(Path file, byte[] json) {
    TableIndex index;
    try {
      index = MAPPER.readValue(json, TableIndex.class);
    } catch (JacksonException e) {
      throw bad(file, e.getOriginalMessage());
    }
    if (!SCHEMA.equals(index.schema)) {
      throw bad(file, "the schema " + index.schema);
    }
    return index;
  }

  private static BadInputException bad(Path file, String found) {
    return new BadInputException(
        file.toString(),
        found,
        "a calibration table with the schema " + SCHEMA,
        "name a folder that smelt calibrate made, or make it again with this version");
  }

  /// The path of a layer's file, such as `sites/00003.arrow`.
  static String path(String table, int layer) {
    return String.format(Locale.ROOT, "%s/%05d.arrow", table, layer);
  }

  /// The path of a Hessian's file, such as `hessians/00003.expert_down.17.safetensors`.
  static String hessianPath(Site site) {
    return hessianPath(site, Sites.tensor(site));
  }

  /// The same of the tokens held out: `hessians/00003.feed_forward_input.held_out.safetensors`.
  static String heldOutPath(Site site) {
    return hessianPath(site, Sites.heldOut(site));
  }

  private static String hessianPath(Site site, String name) {
    return String.format(Locale.ROOT, "hessians/%05d.%s.safetensors", site.layer(), name);
  }
}
