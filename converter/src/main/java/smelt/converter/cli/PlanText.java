package smelt.converter.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import smelt.converter.ByteSize;
import smelt.converter.plan.Plan;
import smelt.converter.plan.PlanJson;
import smelt.converter.plan.ShardLayout;
import smelt.converter.plan.SourceSummary;
import smelt.converter.plan.TargetPlan;
import smelt.converter.plan.Unit;
import smelt.converter.run.MemoryPlan;

/// A plan for people: totals, units, files. The JSON form has every tensor.
final class PlanText {

  private static final int SHOWN = 12;

  private PlanText() {}

  static List<String> lines(Plan plan, MemoryPlan memory) {
    List<String> lines = new ArrayList<>();
    SourceSummary source = plan.source();
    lines.add(
        line(
            "source   %s, %,d tensors, %,d bytes (%s)",
            source.architecture(),
            source.tensors(),
            source.bytes(),
            ByteSize.format(source.bytes())));
    lines.add("recipe   " + plan.recipe().name());
    lines.add(line("units    %d", plan.units().size()));
    for (Unit unit : shown(plan.units())) {
      lines.add(
          line("  %5d  %-28s %,17d bytes read", unit.number(), unit.holds(), unit.sourceBytes()));
    }
    if (plan.units().size() > SHOWN) {
      lines.add("      ...");
    }
    for (TargetPlan target : plan.targets()) {
      addTarget(lines, target);
    }
    lines.addAll(LaunchNotes.of(plan));
    addDropped(lines, "dropped tensors", plan.dropped());
    addDropped(lines, "files left out", plan.leftOut());
    lines.add(
        line("disk     %,d bytes (%s)", plan.outputBytes(), ByteSize.format(plan.outputBytes())));
    lines.add(
        line(
            "memory   at most %,d bytes (%s) with %d threads",
            memory.peak(), ByteSize.format(memory.peak()), memory.threads()));
    lines.add("plan     " + PlanJson.digest(plan));
    return lines;
  }

  private static void addTarget(List<String> lines, TargetPlan target) {
    String folder = target.folder().isEmpty() ? "" : " in " + target.folder() + "/";
    lines.add(
        line(
            "target   %s%s, %,d files, %,d bytes (%s)",
            target.spec().name(),
            folder,
            target.files(),
            target.bytes(),
            ByteSize.format(target.bytes())));
    for (TargetPlan.Shard shard : shown(target.shards())) {
      lines.add(line("  %-44s %,17d%s", name(shard), shard.layout().fileSize(), files(shard)));
    }
    if (target.shards().size() > SHOWN) {
      lines.add("  ...");
    }
    for (TargetPlan.SmallFile file : target.smallFiles()) {
      String from = file.from().isEmpty() ? "made" : "from the source's " + file.from();
      lines.add(line("  %-44s %,17d  %s", file.name(), file.bytes().length, from));
    }
    target.listing().ifPresent(file -> lines.add(line("  %-44s %,17d", file.name(), file.bytes())));
    lines.add(line("  %-44s %,17d", TargetPlan.MANIFEST, target.manifestBytes()));
    target.notes().forEach(note -> lines.add("  note: " + note));
    addDropped(lines, "  tensors that are not in it", target.dropped());
    addDropped(lines, "  files that are not in it", target.leftOut());
  }

  private static String name(TargetPlan.Shard shard) {
    return switch (shard.layout()) {
      case ShardLayout.Safetensors _, ShardLayout.Gguf _ -> shard.name();
      case ShardLayout.Tree tree ->
          shard.name()
              + "/"
              + (tree.folders().size() == 1
                  ? tree.folders().getFirst()
                  : tree.folders().getFirst() + " to " + tree.folders().getLast());
    };
  }

  private static String files(TargetPlan.Shard shard) {
    return switch (shard.layout()) {
      case ShardLayout.Safetensors _, ShardLayout.Gguf _ -> "";
      case ShardLayout.Tree tree -> line("  %,d files", tree.tensors().size());
    };
  }

  private static void addDropped(List<String> lines, String what, List<Plan.Dropped> dropped) {
    if (dropped.isEmpty()) {
      return;
    }
    lines.add(line("%s: %d", what, dropped.size()));
    for (Plan.Dropped one : shown(dropped)) {
      lines.add("  " + one.name() + ": " + one.reason());
    }
    if (dropped.size() > SHOWN) {
      lines.add("  ...");
    }
  }

  private static <T> List<T> shown(List<T> all) {
    return all.subList(0, Math.min(SHOWN, all.size()));
  }

  private static String line(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }
}
