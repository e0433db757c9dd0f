package smelt.converter.plan;

import java.util.List;

/// Whole layers that are read together and give one shard of each target.
///
/// @param number from 1
/// @param holds what it holds, such as `layers 3-5`
/// @param sourceBytes bytes of the source that it reads
public record Unit(int number, String holds, List<Job> jobs, long sourceBytes) {

  public Unit {
    jobs = List.copyOf(jobs);
  }
}
