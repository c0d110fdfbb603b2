//! The report as text, for people.

use crate::figures::{Better, Figure, Unit};
use crate::report::{Machine, Measured, Report};

/// Prints the report to standard output.
pub fn print(report: &Report) {
    let machine = &report.machine;
    let Machine { kernel, cpus, load, cgroups_by } = machine;
    println!("Linux {kernel}, {cpus} CPUs, load {load} before, cgroups by {cgroups_by}");
    println!(
        "{} rounds in turns; median, and the 10th and 90th percentile; ratios of medians\n",
        report.rounds
    );
    println!("{:<34}{:>12}{:>16}{:>18}", "", "version", "binary, KiB", "with libraries");
    for runtime in &report.runtimes {
        let (alone, together) = (runtime.bytes >> 10, runtime.bytes_with_libraries >> 10);
        println!("  {:<32}{:>12}{alone:>16}{together:>18}", runtime.name, runtime.version);
    }
    for measured in &report.measures {
        print_measured(measured, &report.goals.yardsticks);
    }
    println!();
    for skipped in &report.skipped {
        println!("skipped: {}, {}: {}", skipped.view, skipped.measure, skipped.reason);
    }
    for verdict in &report.targets {
        let compared = verdict.target.to.map_or(unit(verdict.unit).to_owned(), |to| format!("× {to}"));
        println!(
            "{}: {}, {}: {:.2} {compared}, target {}",
            if verdict.reached { "reached" } else { "MISSED " },
            verdict.view,
            verdict.measure,
            verdict.found,
            verdict.target.bound,
        );
    }
}

fn print_measured(measured: &Measured, yardsticks: &[&str; 2]) {
    let figures = &measured.figures;
    let more = if figures.better == Better::More { "; more is better" } else { "" };
    let title = format!("{}: {}, {}{more}", measured.view, figures.title, unit(figures.unit));
    let [first, second] = yardsticks.map(|to| format!("× {to}"));
    println!("\n{title:<56}{:>9}{:>9}{:>9}{first:>11}{second:>11}", "median", "p10", "p90");
    for figure in &figures.runtimes {
        print_figure(measured, figure, yardsticks);
    }
    for failed in &figures.failed {
        println!("  {:<12}{}", failed.runtime, failed.reason);
    }
}

fn print_figure(measured: &Measured, figure: &Figure, yardsticks: &[&str; 2]) {
    let ratio = |to: &str| {
        let found = measured.ratios.iter().find(|ratio| ratio.runtime == figure.runtime && ratio.to == to);
        found.map_or(String::new(), |ratio| format!("{:.2}", ratio.ratio))
    };
    let number = |value: f64| match measured.figures.unit {
        Unit::Milliseconds => format!("{value:.2}"),
        Unit::Nanoseconds | Unit::PerSecond | Unit::Count => format!("{value:.1}"),
        Unit::Kibibytes => format!("{value:.0}"),
    };
    let summary = &figure.summary;
    let [first, second] = yardsticks.map(ratio);
    println!(
        "  {:<54}{:>9}{:>9}{:>9}{first:>11}{second:>11}",
        figure.runtime,
        number(summary.median),
        number(summary.p10),
        number(summary.p90),
    );
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Milliseconds => "ms",
        Unit::Nanoseconds => "ns",
        Unit::PerSecond => "1/s",
        Unit::Kibibytes => "KiB",
        Unit::Count => "number",
    }
}
