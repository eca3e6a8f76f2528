// RUN: ascend-opt %s -p 'attach-target{soc=Ascend910A}' | filecheck %s

func.func @main(%x: tensor<4xf16>) -> tensor<4xf16> {
  func.return %x : tensor<4xf16>
}

// CHECK: builtin.module attributes {ascend.target = "Ascend910A"} {
