// RUN: ascend-opt %s -p 'attach-target{soc=Ascend910A}' | filecheck %s
// RUN: ascend-opt %s -p 'attach-target{soc=Ascend310P3 cores=4 reuse-memory=false}' | filecheck %s --check-prefix=FEWER

func.func @main(%x: tensor<4xf16>) -> tensor<4xf16> {
  func.return %x : tensor<4xf16>
}

// CHECK: builtin.module attributes {ascend.target = "Ascend910A"} {
// FEWER: builtin.module attributes {ascend.target = "Ascend310P3", ascend.cores = 4 : i64, ascend.tensors_apart} {
