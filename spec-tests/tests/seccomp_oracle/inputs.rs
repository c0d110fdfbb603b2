//! What filters are tried on.

use corten::internals::plan::seccomp::{Abi, Syscall, X32_BIT};
use oci_spec::runtime::{Arch, LinuxSeccomp, LinuxSeccompArg};
use spec_tests::bpf::SeccompData;

/// More argument vectors than this for one number are thinned out, evenly.
const VECTORS_MAX: usize = 600;

/// Every number from 0 to 2000 of each ABI of the machine, and the edges of the ranges; where a rule looks at
/// arguments, with all arguments around its constants.
pub fn all(profile: &LinuxSeccomp, native: Arch) -> impl Iterator<Item = SeccompData> {
    let vectors = Vectors::of(profile);
    let abis: &[Abi] = match native {
        Arch::ScmpArchX86_64 => &[Abi::X86_64, Abi::X86],
        _ => &[Abi::Aarch64, Abi::Arm],
    };
    let foreign = [0xc000_003e, 0x4000_0003, 0xc000_00b7, 0x4000_0028, 0, u32::MAX, 0xc000_00f3]
        .map(|arch| SeccompData { nr: 1, arch, ..Default::default() });
    let mut inputs = Vec::from(foreign);
    for abi in abis {
        for nr in numbers() {
            let data = |args| SeccompData {
                nr,
                arch: abi.audit_arch(),
                instruction_pointer: 0x1234_5678_9abc,
                args,
            };
            inputs.push(data([0; 6]));
            inputs.extend(vectors.of_number(nr, *abi).map(data));
        }
    }
    inputs.into_iter()
}

fn numbers() -> impl Iterator<Item = u32> {
    const NEGATIVE: u32 = 1 << 31;
    const ARM_PRIVATE: u32 = 0xf_0000;
    let edges = [1 << 16, X32_BIT, NEGATIVE, NEGATIVE | X32_BIT, u32::MAX];
    let around =
        edges.into_iter().flat_map(|edge| (0..4).map(move |off| edge.wrapping_sub(2).wrapping_add(off)));
    (0..=2000).chain(X32_BIT..=X32_BIT + 700).chain(ARM_PRIVATE - 1..ARM_PRIVATE + 16).chain(around)
}

/// The argument vectors that matter to the rules of a system call.
struct Vectors(Vec<(&'static Syscall, Vec<[u64; 6]>)>);

impl Vectors {
    fn of(profile: &LinuxSeccomp) -> Vectors {
        let rules: Vec<_> = profile.syscalls().iter().flatten().collect();
        let known = Syscall::all().iter().filter_map(|syscall| {
            let named = rules.iter().filter(|rule| rule.names().iter().any(|name| name == syscall.name()));
            let args: Vec<_> = named.flat_map(|rule| rule.args().iter().flatten()).copied().collect();
            (!args.is_empty()).then(|| (syscall, vectors(&args)))
        });
        Vectors(known.collect())
    }

    fn of_number(&self, nr: u32, abi: Abi) -> impl Iterator<Item = [u64; 6]> {
        let x32 = (abi == Abi::X86_64).then_some(Abi::X32);
        let (direct, multiplexed): (Vec<_>, Vec<_>) = self
            .0
            .iter()
            .filter(|(syscall, _)| {
                let multiplexer = syscall.multiplexed(abi).map(|multiplexed| multiplexed.number);
                [syscall.number(abi), x32.and_then(|x32| syscall.number(x32)), multiplexer]
                    .contains(&Some(nr))
            })
            .partition(|(syscall, _)| syscall.multiplexed(abi).is_none_or(|m| m.number != nr));
        let direct: Vec<_> = direct.into_iter().flat_map(|(_, vectors)| vectors).copied().collect();
        let through = multiplexed.into_iter().flat_map(move |(syscall, vectors)| {
            let call = syscall.multiplexed(abi).map_or(0, |m| u64::from(m.call));
            let calls = [call, call + 1, call | 1 << 32];
            vectors
                .iter()
                .flat_map(move |args| calls.map(|call| [call, args[1], args[2], args[3], args[4], args[5]]))
        });
        // A multiplexer is tried for each of its calls, whichever of them have rules.
        let any = (0..=25).filter(move |_| [102, 117].contains(&nr)).map(|call| [call, 0, 0, 0, 0, 0]);
        direct.into_iter().chain(through.collect::<Vec<_>>()).chain(any)
    }
}

/// All combinations of the values at which one of `args` can change its mind.
fn vectors(args: &[LinuxSeccompArg]) -> Vec<[u64; 6]> {
    let mut vectors = vec![[0; 6]];
    for index in 0..6 {
        let about: Vec<_> = args.iter().filter(|arg| arg.index() == index).collect();
        if about.is_empty() {
            continue;
        }
        let mut values: Vec<_> = about.into_iter().flat_map(around).collect();
        values.sort_unstable();
        values.dedup();
        vectors = vectors
            .iter()
            .flat_map(|vector| values.iter().map(|value| with(*vector, index, *value)))
            .collect();
        let every = vectors.len().div_ceil(VECTORS_MAX);
        vectors = vectors
            .into_iter()
            .enumerate()
            .filter(|(at, _)| at % every == at / every % every)
            .map(|(_, v)| v)
            .collect();
    }
    vectors
}

fn with(mut vector: [u64; 6], index: usize, value: u64) -> [u64; 6] {
    vector[index] = value;
    vector
}

/// A rule's constants, one more and one less, with other high halves, with bits of the mask turned.
fn around(arg: &LinuxSeccompArg) -> Vec<u64> {
    let (value, second) = (arg.value(), arg.value_two().unwrap_or(0));
    let mut values = vec![0, 1, u64::MAX];
    for constant in [value, second] {
        let low = constant & 0xffff_ffff;
        values.extend([constant, constant.wrapping_add(1), constant.wrapping_sub(1), !constant, low]);
        values.extend([
            low | 1 << 32,
            low | 0xffff_ffff << 32,
            constant ^ 1 << 32,
            constant.wrapping_add(1 << 32),
        ]);
        values.push(constant.wrapping_sub(1 << 32));
    }
    let (lowest, highest) = (value & value.wrapping_neg(), 1 << 63_u32.saturating_sub(value.leading_zeros()));
    values.extend([second ^ lowest, second ^ highest, second | !value, second ^ 1, second & value]);
    values
}
