// RUN: ascend-opt %s -p 'convert-nn-to-ascend' | filecheck %s

func.func @main(%p: tensor<6x64xf16>, %r: tensor<64x16xf16>) -> tensor<6x16xf16> {
  %y = nn.group "Recurrence" (%p, %r) from ["lstm1"] {
  ^bb0(%a: tensor<6x64xf16>, %b: tensor<64x16xf16>):
    %0 = nn.recurrence %a, %b kind lstm direction reverse steps 3 : (tensor<6x64xf16>, tensor<64x16xf16>) -> tensor<6x16xf16>
    nn.yield %0 : tensor<6x16xf16>
  } : (tensor<6x64xf16>, tensor<64x16xf16>) -> tensor<6x16xf16>
  func.return %y : tensor<6x16xf16>
}

// CHECK: ascend.group "Recurrence" (%p, %r) engine recurrence schedule #ascend.schedule<> from ["lstm1"] {
// CHECK: nn.recurrence %a, %b kind lstm direction reverse steps 3
