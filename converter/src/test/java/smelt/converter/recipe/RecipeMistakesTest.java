package smelt.converter.recipe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import smelt.formats.Problem;

class RecipeMistakesTest {

  static List<Arguments> mistakes() {
    return List.of(
        Arguments.of("nmae: x\ntargets: [bf16]", 1, "unknown key 'nmae'", "did you mean 'name'?"),
        Arguments.of("name: x\ntargets: [bf61]", 2, "unknown target 'bf61'", "'bf16'"),
        Arguments.of("name: x\ntargets: [bf16, bf16]", 2, "target bf16 again", "second recipe"),
        Arguments.of(
            "name: x\ntargets: [{target: kt-amx-int8, numa: [2, 2]}]",
            2,
            "target kt-amx-int8-numa2 again",
            "second recipe"),
        Arguments.of(
            "name: x\ntargets: [{target: kt-amx-int8, numa: 0}]",
            2,
            "numa: '0'",
            "write for example 'numa: 2'"),
        Arguments.of(
            "name: x\ntargets: [{target: int8-block, numa: 2}]",
            2,
            "numa for int8-block",
            "remove the key"),
        Arguments.of(
            "name: x\ntargets: [{target: fp8-block, numa: [1, 2]}]",
            2,
            "several numbers under numa for fp8-block",
            "keep one number"),
        Arguments.of(
            "name: x\ntargets: [{target: gguf, type: q9}]", 2, "type: 'q9'", "write one of them"),
        Arguments.of("name: x\nname: y\ntargets: [bf16]", 2, "key 'name' again", "keep one"),
        Arguments.of("name: x\ntargets: []", 2, "no target", "add 'targets:"),
        Arguments.of("name: x\ntargets:", 2, "no target", "add 'targets:"),
        Arguments.of("name: x", 1, "no target", "add 'targets:"),
        Arguments.of("targets: [bf16]", 1, "no name", "add 'name:"),
        Arguments.of("name: ../x\ntargets: [bf16]", 1, "name: '../x'", "choose one"),
        Arguments.of("name: [x]\ntargets: [bf16]", 1, "name: a list", "one value"),
        Arguments.of("name: x\ntargets: [[bf16]]", 2, "a list", "write one"),
        Arguments.of("name: x\ntargets: [{keep: [router]}]", 2, "no target in", "add 'target:"),
        Arguments.of("name: x\ntargets: [bf16]\nmtp: kep", 3, "mtp: 'kep'", "'keep'"),
        Arguments.of("name: x\ntargets: [bf16]\ncopy_code: yes", 3, "copy_code: 'yes'", "write"),
        Arguments.of("name: x\ntargets: [bf16]\nshard_size: 4GB", 3, "shard_size: '4GB'", "4GiB"),
        Arguments.of("name: x\ntargets: [bf16]\nshard_size: 0", 3, "shard_size: '0'", "4GiB"),
        Arguments.of("name: x\ntargets: [bf16]\nshard_size: -1", 3, "shard_size: '-1'", "4GiB"),
        Arguments.of(
            "name: x\ntargets:\n- {target: fp8-block, scales: ue8mo}", 3, "'ue8mo'", "'ue8m0'"),
        Arguments.of(
            "name: x\ntargets:\n- target: int8-block\n  scales: ue8m0",
            4,
            "scales for int8-block",
            "remove"),
        Arguments.of(
            "name: x\ntargets:\n- target: bf16\n  keep: [router]", 4, "keep for bf16", "remove"),
        Arguments.of(
            "name: x\ntargets:\n- target: int8-block\n  keep:\n  - atention.kv_b",
            5,
            "unknown role 'atention.kv_b'",
            "'attention.kv_b'"),
        Arguments.of(
            "name: x\ntargets:\n- target: int8-block\n  keep: [\"re:a(\"]",
            4,
            "'re:a(' (Unclosed group",
            "correct it"),
        Arguments.of(
            "name: x\ntargets:\n- target: int8-block\n  keep: [router]\n  quantize: [router]",
            5,
            "'router' under keep and under quantize",
            "remove it"),
        Arguments.of("name: x\ntargets: [bf16]\nbounds: bf61", 3, "'bf61'", "'bf16'"),
        Arguments.of(
            "name: x\ntargets: [bf16]\nbounds: [bf16]", 3, "bounds: a list", "write for example"),
        Arguments.of(
            "name: x\ntargets: [bf16]\nbounds: {profile: w8a9}",
            3,
            "unknown profile 'w8a9'",
            "'w8a8'"),
        Arguments.of(
            "name: x\ntargets: [bf16]\nbounds: {mean_lk: 1}",
            3,
            "unknown key 'mean_lk'",
            "'mean_kl'"),
        Arguments.of(
            "name: x\ntargets: [bf16]\nbounds:\n  same_top: 1.5",
            4,
            "same_top: '1.5'",
            "smelt verify --help"),
        Arguments.of(
            "name: x\ntargets:\n- {target: bf16, bounds: {mean_kl: low}}",
            3,
            "mean_kl: 'low'",
            "smelt verify --help"),
        Arguments.of("name: &a x\ntargets: [*a]", 2, "an alias", "write the value out"),
        Arguments.of("name: x\ntargets: &a\n- [*a]", 3, "an alias", "write the value out"),
        Arguments.of("name: x\ntargets: [bf16]\n---\nname: y", 4, "a second document", "keep one"),
        Arguments.of("- bf16", 1, "a list", "write one"),
        Arguments.of("", 1, "nothing", "write one"),
        Arguments.of("name: x\ntargets: [bf16", 2, "expected ',' or ']'", "smelt recipes"),
        Arguments.of("name: x\n\ttargets: bf16", 2, "'\\t(TAB)'", "smelt recipes"));
  }

  @ParameterizedTest
  @MethodSource("mistakes")
  void namesLineMistakeAndRemedy(String yaml, int line, String found, String remedy) {
    List<Problem> problems = problems(yaml);
    assertThat(problems)
        .anySatisfy(problem -> {
          assertThat(problem.where()).isEqualTo("my.yaml line " + line);
          assertThat(problem.found()).contains(found);
          assertThat(problem.remedy()).contains(remedy);
        });
  }

  @Test
  void namesAllMistakesAtOnceInTheOrderOfTheFile() {
    List<Problem> problems =
        problems(
            """
            name: a b
            targts: [bf16]
            targets:
              - int8-chanel
              - target: fp8-block
                scale: ue8m0
                keep: [rooter]
              - fp8-block
            mtp: kep
            shard_size: 4GB
            """);
    assertThat(problems)
        .extracting(Problem::where)
        .containsExactly(
            "my.yaml line 1",
            "my.yaml line 2",
            "my.yaml line 4",
            "my.yaml line 6",
            "my.yaml line 7",
            "my.yaml line 8",
            "my.yaml line 9",
            "my.yaml line 10");
  }

  private static List<Problem> problems(String yaml) {
    RecipeException refused =
        catchThrowableOfType(RecipeException.class, () -> RecipeReader.read("my.yaml", yaml));
    assertThat(refused).as("accepted: " + yaml).isNotNull();
    return refused.problems();
  }
}
