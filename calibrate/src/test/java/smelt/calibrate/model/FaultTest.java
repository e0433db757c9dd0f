package smelt.calibrate.model;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.formats.Checkout;
import tools.jackson.databind.JsonNode;

class FaultTest {
  @Test
  void explore(@TempDir Path temp) throws IOException {
    Golden golden = Golden.tinyDeepSeek();
    Path samples = Checkout.root().resolve("samples");
    Windows w = Windows.few(golden);
    List<int[]> seqs = golden.sequences();
    List<int[]> all = new ArrayList<>(w.inputs());
    all.addAll(seqs);
    long t0 = System.nanoTime();
    float[][] right = SampleRun.of(samples.resolve("tiny-deepseek-v3"), all).logits();
    System.out.println("right " + w.perplexity(java.util.Arrays.copyOf(right, 8192)) + " s " + (System.nanoTime() - t0) / 1e9);
    JsonNode m = golden.json("mistakes.json");
    int i = 0;
    for (Fault f : Fault.all()) {
      Path dir = java.nio.file.Files.createDirectory(temp.resolve("" + i++));
      float[][] wrong = SampleRun.of(f.plant(samples, dir), all, SampleRun.Setup.PLAIN.change(f.change())).logits();
      String s = f.name() + " ppl " + w.perplexity(java.util.Arrays.copyOf(wrong, 8192));
      s += " kl32 " + Windows.divergence(java.util.Arrays.copyOf(right, 8192), java.util.Arrays.copyOf(wrong, 8192));
      int at = 8192;
      s += " klseq";
      s += " all " + Windows.divergence(java.util.Arrays.copyOfRange(right, 8192, right.length), java.util.Arrays.copyOfRange(wrong, 8192, right.length));
      for (int[] q : seqs) { s += " " + Windows.divergence(java.util.Arrays.copyOfRange(right, at, at + q.length), java.util.Arrays.copyOfRange(wrong, at, at + q.length)); at += q.length; }
      for (JsonNode n : m) if (n.path("case").stringValue().equals(f.name())) s += "\n     listed " + n.path("ppl_small") + " " + n.path("kl");
      System.out.println(s);
    }
  }
}
